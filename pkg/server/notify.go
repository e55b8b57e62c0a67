package server

import (
	"context"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// notifyTimeout is how long a drain waits for a systemd that does not listen.
const notifyTimeout = time.Second

// notify tells systemd of a change of state, if it is systemd that has started
// the process. It blocks for no longer than notifyTimeout.
func (p *PacketServer) notify(state string) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	sent := make(chan error, 1)
	go func() {
		_, err := daemon.SdNotify(false, state)
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			p.log.Warn("systemd was not told", zap.String("state", state), zap.Error(err))
		}
	case <-time.After(notifyTimeout):
		p.log.Warn("systemd does not listen", zap.String("state", state), zap.Duration("waited", notifyTimeout))
	}
}

// watchdog keeps telling systemd that the server is alive, if a WatchdogSec= wants
// to know, until ctx ends. It looks at the table of connections each time: should
// its lock be held for ever, nobody can be served, and a restart is right.
func (p *PacketServer) watchdog(ctx context.Context) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		p.log.Warn("the watchdog of systemd cannot be served", zap.Error(err))
	}
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.conns.count()
			p.notify(daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}
