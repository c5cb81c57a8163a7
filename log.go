// SPDX-License-Identifier: MIT

package waitress

import (
	"log"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger returns where the Server's messages go: Logger, else ErrorLog, else standard error.
func (s *Server) logger() *zap.Logger {
	switch {
	case s.Logger != nil:
		return s.Logger
	case s.ErrorLog != nil:
		// ErrorLog writes its own time and prefix; the message and its fields are what it is given.
		encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "msg", SkipLineEnding: true})
		return zap.New(zapcore.NewCore(encoder, logWriter{s.ErrorLog}, zapcore.WarnLevel))
	}
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	config.EncodeLevel = zapcore.CapitalLevelEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.Lock(os.Stderr), zapcore.WarnLevel))
}

// A logWriter is a log.Logger as zap writes to it.
type logWriter struct{ *log.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	const callDepth = 6 // of no use: zap is between
	return len(p), w.Output(callDepth, string(p))
}

func (w logWriter) Sync() error { return nil }
