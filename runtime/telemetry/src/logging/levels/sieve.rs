//! What lets lines through: a filter, and beside it what no filter may hold back.

use super::Levels;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Layer};

/// A filter that lets the lines of [`Levels::AUDIT`] through, whatever it says. No directive that
/// is added to a filter could do this: one with a field's name (`jackfield_admin::audit[{path}]`)
/// would win over it.
pub(in crate::logging) struct Sieve(pub(super) EnvFilter);

fn is_always_written(metadata: &Metadata<'_>) -> bool {
    metadata.target() == Levels::AUDIT && *metadata.level() <= Level::INFO
}

impl<S: Subscriber> Layer<S> for Sieve {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match is_always_written(metadata) {
            true => Interest::always(),
            false => Layer::<S>::register_callsite(&self.0, metadata),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, ctx: Context<'_, S>) -> bool {
        is_always_written(metadata) || Layer::<S>::enabled(&self.0, metadata, ctx)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let hint = Layer::<S>::max_level_hint(&self.0);
        hint.map(|it| it.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_new_span(&self.0, attrs, id, ctx);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        Layer::<S>::on_record(&self.0, id, values, ctx);
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_enter(&self.0, id, ctx);
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        Layer::<S>::on_exit(&self.0, id, ctx);
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        Layer::<S>::on_close(&self.0, id, ctx);
    }
}
