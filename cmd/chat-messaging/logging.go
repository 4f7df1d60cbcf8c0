package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"
)

// newLogger writes one line a record to w: JSON objects, or text for a person.
// level and format are LOG_LEVEL and LOG_FORMAT as Config has them.
//
// Every record has time (UTC), level and msg; a failure is always under err
// and a duration is text with its unit, whoever logged it.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevel(level), ReplaceAttr: unifyAttr}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func logLevel(name string) slog.Level {
	switch name {
	case "trace":
		return watermill.LevelTrace
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

// unifyAttr makes the records of all authors alike: Watermill says error
// where we say err, and slog's JSON has nanoseconds where its text has a unit.
func unifyAttr(groups []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.StringValue(attr.Value.Duration().String())
	}
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.TimeKey:
		if attr.Value.Kind() == slog.KindTime {
			attr.Value = slog.StringValue(attr.Value.Time().UTC().Format("2006-01-02T15:04:05.000000Z"))
		}
	case slog.LevelKey:
		if level, ok := attr.Value.Any().(slog.Level); ok && level < slog.LevelDebug {
			attr.Value = slog.StringValue("TRACE")
		}
	case "error":
		attr.Key = "err"
	}
	return attr
}

// watermillLogger lets Watermill log through logger, a step more quietly: what
// it calls information is the inner life of its router.
func watermillLogger(logger *slog.Logger) watermill.LoggerAdapter {
	enabled := func(level slog.Level) bool { return logger.Enabled(context.Background(), level) }
	return &routerLogger{
		LoggerAdapter: watermill.NewSlogLoggerWithLevelMapping(
			logger.With("component", "watermill"),
			map[slog.Level]slog.Level{
				slog.LevelInfo:  slog.LevelDebug,
				slog.LevelDebug: watermill.LevelTrace,
			},
		),
		info:  enabled(slog.LevelDebug),
		debug: enabled(watermill.LevelTrace),
	}
}

// routerLogger leaves out what nobody would see before its fields are put
// together: the router has two traces for every message.
type routerLogger struct {
	watermill.LoggerAdapter
	info, debug bool // what the router calls so is written
}

// Info implements watermill.LoggerAdapter.
func (l *routerLogger) Info(msg string, fields watermill.LogFields) {
	if l.info {
		l.LoggerAdapter.Info(msg, fields)
	}
}

// Debug implements watermill.LoggerAdapter.
func (l *routerLogger) Debug(msg string, fields watermill.LogFields) {
	if l.debug {
		l.LoggerAdapter.Debug(msg, fields)
	}
}

// Trace implements watermill.LoggerAdapter.
func (l *routerLogger) Trace(msg string, fields watermill.LogFields) {
	if l.debug {
		l.LoggerAdapter.Trace(msg, fields)
	}
}

// With implements watermill.LoggerAdapter.
func (l *routerLogger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return &routerLogger{LoggerAdapter: l.LoggerAdapter.With(fields), info: l.info, debug: l.debug}
}
