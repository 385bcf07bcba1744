//! How far a long command is, on standard error when it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use tillstream_store::transfer::Progress;

/// A bar that only a person sees.
#[derive(Clone)]
pub struct Bar(ProgressBar);

impl Bar {
    /// An empty one.
    pub fn new() -> Self {
        if !crate::output::shows_progress() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        Self(match ProgressStyle::with_template("{bar:30} {bytes} of about {total_bytes}, {eta} left: {msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Shows how far it is.
    pub fn show(&self, progress: &Progress) {
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
        self.0.set_message(progress.part.clone());
    }

    /// Takes it away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
