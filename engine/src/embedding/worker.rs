//! One model, shared: whoever finds it free runs it for all who wait, then hands it on. Requests that arrive while it runs
//! share the next batch; nobody waits on purpose, and a single request changes no thread.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc},
};

use super::{Embedder, EmbeddingError, Vector, model::Model};

/// Texts in one run of the model at the most: more make no text cheaper, and each waits for the slowest.
const MAX_BATCH: usize = 32;

/// An [`Embedder`] over one model with a bounded queue.
pub struct EmbeddingWorker {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
    id: String,
    dimension: usize,
}

struct State {
    queue: VecDeque<Job>,
    model: Place,
}

/// Where the model is.
enum Place {
    Free(Box<Model>),
    Running,
    /// Its last run panicked.
    Lost,
}

/// The place of a text in its request, and its vector.
type Answer = (usize, Result<Vector, EmbeddingError>);

struct Job {
    text: String,
    place: usize,
    answer: mpsc::Sender<Answer>,
}

impl EmbeddingWorker {
    /// Shares a model; `capacity` texts may wait.
    pub fn new(model: Model, capacity: usize) -> Self {
        let (id, dimension) = (model.id().to_owned(), model.dimension());
        let state = State { queue: VecDeque::new(), model: Place::Free(Box::new(model)) };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity: capacity.max(1), id, dimension }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts texts into the queue; their vectors come out of the receiver. A list longer than the queue (the examples of a
    /// catalogue) is taken when nothing else waits.
    fn enqueue(&self, texts: &[String]) -> Result<mpsc::Receiver<Answer>, EmbeddingError> {
        let (answer, answers) = mpsc::channel();
        let mut state = self.lock();
        if !state.queue.is_empty() && state.queue.len() + texts.len() > self.capacity {
            return Err(EmbeddingError::Busy);
        }
        let job = |(place, text): (usize, &String)| Job { text: text.clone(), place, answer: answer.clone() };
        state.queue.extend(texts.iter().enumerate().map(job));
        Ok(answers)
    }

    /// Runs one batch if the model is free, else waits until something has changed.
    fn run_or_wait(&self) -> Result<(), EmbeddingError> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.model, Place::Running) {
            Place::Free(model) if !state.queue.is_empty() => {
                let take = state.queue.len().min(MAX_BATCH);
                let batch: Vec<Job> = state.queue.drain(..take).collect();
                drop(state);
                Turn { worker: self, model: Some(model) }.run(batch);
                Ok(())
            }
            Place::Free(model) => {
                // The own texts were in somebody else's batch, and their vectors are there.
                state.model = Place::Free(model);
                Ok(())
            }
            Place::Running => {
                let waited = self.changed.wait(state);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                Ok(())
            }
            Place::Lost => {
                state.model = Place::Lost;
                state.queue.clear();
                Err(EmbeddingError::Failed("the model has crashed; restart the server".to_owned()))
            }
        }
    }
}

/// One run of the model. However it ends, the model is given back or known to be lost, and the others are woken.
struct Turn<'a> {
    worker: &'a EmbeddingWorker,
    model: Option<Box<Model>>,
}

impl Turn<'_> {
    fn run(mut self, mut batch: Vec<Job>) {
        let Some(mut model) = self.model.take() else { return };
        let texts: Vec<String> = batch.iter_mut().map(|job| std::mem::take(&mut job.text)).collect();
        let result = model.run(&texts);
        for (index, job) in batch.into_iter().enumerate() {
            let one = match &result {
                Ok(vectors) => Ok(vectors[index].clone()),
                Err(error) => Err(EmbeddingError::Failed(error.to_string())),
            };
            // A caller that is gone wants no answer.
            let _ = job.answer.send((job.place, one));
        }
        self.model = Some(model);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.worker.lock().model = self.model.take().map_or(Place::Lost, Place::Free);
        self.worker.changed.notify_all();
    }
}

impl Embedder for EmbeddingWorker {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn is_alive(&self) -> bool {
        !matches!(self.lock().model, Place::Lost)
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError> {
        let answers = self.enqueue(texts)?;
        let mut out: Vec<Option<Vector>> = vec![None; texts.len()];
        let mut missing = texts.len();
        while missing > 0 {
            match answers.try_recv() {
                Ok((place, result)) => {
                    out[place] = Some(result?);
                    missing -= 1;
                }
                Err(mpsc::TryRecvError::Empty) => self.run_or_wait()?,
                Err(mpsc::TryRecvError::Disconnected) => {
                    return Err(EmbeddingError::Failed("the model has crashed; restart the server".to_owned()));
                }
            }
        }
        Ok(out.into_iter().flatten().collect())
    }
}
