package server

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// notify tells systemd of a change of state, if it is systemd that has started
// the process (NOTIFY_SOCKET). It blocks for no longer than one datagram takes.
func (p *PacketServer) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		p.log.Warn("systemd was not told", zap.String("state", state), zap.Error(err))
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
