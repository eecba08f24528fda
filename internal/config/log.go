package config

import (
	"io"
	"log/slog"
)

// Logger returns the logger that LOG_LEVEL and LOG_FORMAT ask for, writing to w.
func (r Run) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: r.level()}
	if r.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func (r Run) level() slog.Level {
	switch r.LogLevel {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}
