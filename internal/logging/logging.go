// Package logging makes the process's one logger, and the view of it that Temporal's SDK writes to.
package logging

import (
	"fmt"
	"io"

	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New is a logger that writes JSON lines to w: debug, info, warn or error and above.
func New(level string, w io.Writer) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("%q is no level: write debug, info, warn or error", level)
	}
	config := zap.NewProductionEncoderConfig()
	config.TimeKey, config.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.Lock(zapcore.AddSync(w)), l)), nil
}

// temporalLogger is a zap logger as Temporal's SDK wants one.
type temporalLogger struct{ zap *zap.SugaredLogger }

// ForTemporal returns the logger as Temporal's SDK wants one.
func ForTemporal(l *zap.Logger) log.Logger {
	return temporalLogger{l.WithOptions(zap.AddCallerSkip(1)).Sugar()}
}

func (l temporalLogger) Debug(msg string, keyvals ...any) { l.zap.Debugw(msg, keyvals...) }
func (l temporalLogger) Info(msg string, keyvals ...any)  { l.zap.Infow(msg, keyvals...) }
func (l temporalLogger) Warn(msg string, keyvals ...any)  { l.zap.Warnw(msg, keyvals...) }
func (l temporalLogger) Error(msg string, keyvals ...any) { l.zap.Errorw(msg, keyvals...) }

// With and WithCallerSkip are the SDK's optional refinements: child loggers, and the right line of code.
func (l temporalLogger) With(keyvals ...any) log.Logger {
	return temporalLogger{l.zap.With(keyvals...)}
}
func (l temporalLogger) WithCallerSkip(n int) log.Logger {
	return temporalLogger{l.zap.WithOptions(zap.AddCallerSkip(n))}
}
