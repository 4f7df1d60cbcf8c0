package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// newTracing returns where spans go: to the collector over OTLP/HTTP, or nowhere
// without one. A collector that is away costs spans and nothing else: they wait in
// a bounded queue and are dropped from there.
func newTracing(collector string, logger *slog.Logger) (trace.TracerProvider, func(context.Context), error) {
	if collector == "" {
		return noop.NewTracerProvider(), func(context.Context) {}, nil
	}
	u, err := url.Parse(collector)
	if err != nil {
		return nil, nil, fmt.Errorf("OPENTELEMETRY_COLLECTOR_URL is not a URL")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(u.String()))
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the trace exporter: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", program))),
	)
	return provider, func(ctx context.Context) {
		if err := provider.Shutdown(ctx); err != nil {
			logger.Debug("the last spans did not reach the collector", "err", err)
		}
	}, nil
}
