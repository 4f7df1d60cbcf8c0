package middleware

import (
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Trace makes a span of each batch, all tries included. A span for each message
// would cost more than the message does.
func Trace(tracer trace.Tracer) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(carrier *message.Message) ([]*message.Message, error) {
			outer := carrier.Context()
			ctx, span := tracer.Start(outer, "process batch", trace.WithSpanKind(trace.SpanKindConsumer))
			defer span.End()
			if b := BatchFrom(ctx); b != nil {
				span.SetAttributes(
					attribute.String("messaging.system", "rabbitmq"),
					attribute.String("messaging.operation.type", "process"),
					attribute.Int("messaging.batch.message_count", len(b.Messages)),
				)
			}
			carrier.SetContext(ctx)
			defer carrier.SetContext(outer)
			produced, err := next(carrier)
			if err != nil {
				span.RecordError(err)
				span.SetStatus(codes.Error, "the batch was not committed")
			}
			return produced, err
		}
	}
}
