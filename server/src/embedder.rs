//! The model as turns use it: whoever waits for it lets another thread run the tasks of its own.

use std::sync::Arc;

use banter_engine::embedding::{Embedder, EmbeddingError, Vector};
use tokio::task::block_in_place;

/// An embedder that may be called from a task.
pub struct TaskEmbedder(pub Arc<dyn Embedder>);

impl Embedder for TaskEmbedder {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    fn remembers(&self, text: &str) -> bool {
        self.0.remembers(text)
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError> {
        // What is remembered takes microseconds; the model takes milliseconds.
        if texts.iter().all(|text| self.0.remembers(text)) {
            return self.0.embed(texts);
        }
        block_in_place(|| self.0.embed(texts))
    }
}
