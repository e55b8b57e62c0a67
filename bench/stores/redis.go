package main

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a Redis on loopback whose append-only file is synced before any
// answer, for all that was asked meanwhile at once.
type redisServer struct {
	program string
	cmd     *exec.Cmd
	client  *redis.Client
}

// findRedis returns nil if there is none.
func findRedis() contender {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil
	}
	return &redisServer{program: program}
}

func (*redisServer) name() string           { return "Redis" }
func (*redisServer) durabilities() []string { return []string{whenAnswered} }

func (r *redisServer) start(dir, _ string) error {
	socket := filepath.Join(dir, "socket")
	r.cmd = exec.Command(r.program, "--dir", dir, "--port", "0", "--unixsocket", socket, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0", "--loglevel", "warning")
	if err := r.cmd.Start(); err != nil {
		return err
	}
	r.client = redis.NewClient(&redis.Options{
		Dialer:   func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
		PoolSize: 64, MaxRetries: -1,
	})
	for range 100 {
		if r.client.Ping(context.Background()).Err() == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("it did not start")
}

func (r *redisServer) stop() error {
	err := errors.Join(r.client.Close(), r.cmd.Process.Kill())
	_ = r.cmd.Wait() // killed
	return err
}

func key(n uint64) string { return strconv.FormatUint(n, 16) }

func (r *redisServer) add(ctx context.Context, n uint64, block []byte) error {
	return r.client.Set(ctx, key(n), block, 0).Err()
}

func (*redisServer) flush(context.Context) error { return nil }

func (r *redisServer) get(ctx context.Context, n uint64, block []byte) error {
	data, err := r.client.Get(ctx, key(n)).Bytes()
	copy(block, data)
	return err
}
