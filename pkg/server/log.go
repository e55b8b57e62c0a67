package server

import (
	"context"

	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger makes the logger, and the level by which it can be changed while it
// runs. It writes to standard error, since standard output may carry packets.
func newLogger(cfg frozen, life fx.Lifecycle) (*zap.Logger, zap.AtomicLevel, error) {
	level, err := zap.ParseAtomicLevel(cfg.Log.Level)
	if err != nil {
		return nil, level, err
	}
	c := zap.NewProductionConfig()
	c.Level = level
	c.Encoding = cfg.Log.Format
	c.Sampling = nil // where peers can cause lines, those are sampled one by one
	c.DisableCaller = true
	c.DisableStacktrace = true
	c.EncoderConfig.TimeKey = "time"
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	c.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	if cfg.Log.Format == "console" {
		c.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	}
	log, err := c.Build()
	if err != nil {
		return nil, level, err
	}
	life.Append(fx.StopHook(func(context.Context) { _ = log.Sync() })) // terminals cannot sync
	return log, level, nil
}
