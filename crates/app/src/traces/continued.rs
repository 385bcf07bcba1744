//! Spans that go on with a trace that somebody else began, and spans under the id that somebody else was told.
//!
//! A span of the hub says so in two fields, each a `traceparent`: below `traceparent` it belongs, and `sent` is itself,
//! as it stands in a request to a receiver.

use std::cell::Cell;
use std::fmt::Debug;

use opentelemetry::Context as Traced;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use tillstream_model::Trace;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

const PARENT: &str = "traceparent";
const ITSELF: &str = "sent";

thread_local! {
    /// Who the span is that begins on this thread now.
    static BEGINNING: Cell<Option<Trace>> = const { Cell::new(None) };
}

/// Gives a span that says who it is that id, and others random ones.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        BEGINNING.get().map_or_else(|| self.0.new_trace_id(), |trace| TraceId::from(trace.id))
    }

    fn new_span_id(&self) -> SpanId {
        BEGINNING.get().map_or_else(|| self.0.new_span_id(), |trace| SpanId::from(trace.span))
    }
}

/// The layer that makes spans, told where they belong.
pub struct Continued<L>(pub L);

/// Who a span is, until it begins.
struct Itself(Trace);

#[derive(Default)]
struct Fields {
    parent: Option<Trace>,
    itself: Option<Trace>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            PARENT => self.parent = Trace::parse(value),
            ITSELF => self.itself = Trace::parse(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if [PARENT, ITSELF].contains(&field.name()) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

impl<S, L> Layer<S> for Continued<L>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(itself), Some(span)) = (fields.itself, context.span(id)) {
            span.extensions_mut().insert(Itself(itself));
        }
        let _parent = fields.parent.map(|trace| remote(trace).attach());
        self.0.on_new_span(attributes, id, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        // Its id is made when it is entered for the first time.
        let itself = context.span(id).and_then(|span| span.extensions_mut().remove::<Itself>());
        BEGINNING.set(itself.map(|itself| itself.0));
        self.0.on_enter(id, context);
        BEGINNING.set(None);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        self.0.on_follows_from(id, follows, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.0.on_event(event, context);
    }
}

fn remote(trace: Trace) -> Traced {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (id, span) = (TraceId::from(trace.id), SpanId::from(trace.span));
    Traced::new().with_remote_span_context(SpanContext::new(id, span, flags, true, TraceState::default()))
}
