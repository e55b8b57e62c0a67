package server

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
)

// ExitForced is the exit code for an end with requests unanswered.
const ExitForced = 5

// New makes an fx app that serves: [Module] with the configuration, stop timeout
// and logging that it needs, and the options of the caller, which provide
// services ([AsService]). If the configuration is wrong, the app's Err says how.
func New(cfg Config, options ...fx.Option) *fx.App {
	if err := cfg.Validate(); err != nil {
		return fx.New(fx.NopLogger, fx.Error(err))
	}
	return fx.New(
		fx.Supply(cfg),
		fx.StopTimeout(cfg.StopTimeout()),
		appLogger,
		Module,
		fx.Options(options...),
	)
}

// appLogger makes fx tell of itself at the level debug: what goes wrong is
// returned as an error.
var appLogger = fx.WithLogger(func(log *zap.Logger) fxevent.Logger {
	l := &fxevent.ZapLogger{Logger: log.Named("fx")}
	l.UseLogLevel(zap.DebugLevel)
	l.UseErrorLevel(zap.DebugLevel)
	return l
})

// Run starts the app, waits until a signal or an [fx.Shutdowner] stops it, and
// stops it. It returns nil when everything that was accepted has been answered;
// [ExitCode] turns other errors into an exit code. Unlike App.Run it tells why. It
// makes the process ignore SIGPIPE: whoever reads its log may go away.
func Run(app *fx.App) error {
	signal.Ignore(syscall.SIGPIPE)
	if err := app.Err(); err != nil {
		return fmt.Errorf("set up: %w", dig.RootCause(err)) // without the path through the dependency graph
	}
	stop := app.Wait() // before the start, so that a signal meanwhile is not lost
	ctx, cancel := context.WithTimeout(context.Background(), app.StartTimeout())
	defer cancel()
	if err := app.Start(ctx); err != nil {
		_ = app.Stop(ctx) // what had started is stopped already; this ends the wait for signals
		return fmt.Errorf("start: %w", err)
	}
	asked := <-stop
	ctx, cancel = context.WithTimeout(context.Background(), app.StopTimeout())
	defer cancel()
	if err := app.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if asked.ExitCode != 0 {
		return &exitCodeError{asked.ExitCode}
	}
	return nil
}

// ExitCode is the exit code for an error of [Run]: 0 for none, [ExitForced] when
// requests were left unanswered, what was given to fx.ExitCode, else 1.
func ExitCode(err error) int {
	var forced *ForcedError
	var asked *exitCodeError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &forced):
		return ExitForced
	case errors.As(err, &asked):
		return asked.code
	}
	return 1
}

type exitCodeError struct{ code int }

func (e *exitCodeError) Error() string { return fmt.Sprintf("asked to exit with code %d", e.code) }
