//! The encoders as turns use them: whoever waits for one lets another thread run the tasks of its own.

use std::sync::Arc;

use banter_engine::{
    embedding::{Embedder, Embedding, EmbeddingError, Urgency, Vector},
    language::Language,
};
use tokio::task::block_in_place;

/// Encoders that may be used from a task.
pub struct TaskEmbedding<E>(pub E);

impl<E: Embedding> Embedding for TaskEmbedding<E> {
    fn of(&self, languages: &[Language]) -> Result<Arc<dyn Embedder>, EmbeddingError> {
        Ok(Arc::new(TaskEmbedder(self.0.of(languages)?)))
    }

    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }
}

/// An embedder that may be called from a task.
struct TaskEmbedder(Arc<dyn Embedder>);

impl Embedder for TaskEmbedder {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn blocks(&self) -> &[usize] {
        self.0.blocks()
    }

    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    fn remembers(&self, text: &str) -> bool {
        self.0.remembers(text)
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        // What is remembered takes microseconds; the model takes milliseconds.
        if texts.iter().all(|text| self.0.remembers(text)) {
            return self.0.embed(texts, urgency);
        }
        block_in_place(|| self.0.embed(texts, urgency))
    }
}
