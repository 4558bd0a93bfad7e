//! Shares one model between threads. A thread that finds the model free takes it, runs it for everyone who waits until
//! its own texts are done, and hands it to a thread that still waits. Requests that arrive during a run share the next
//! batch. Nobody waits for a batch to fill, and a single request runs on its own thread.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, SendError, Sender},
    },
    time::{Duration, Instant},
};

use super::{
    Embedder, EmbeddingError, Urgency, Vector,
    model::Model,
    queue::{Queue, RunSize, Waiting},
};

/// An [`Embedder`] that shares one model, and refuses new turns that would wait too long.
pub struct EmbeddingWorker {
    state: Mutex<WorkerState>,
    id: String,
    dimension: usize,
    letters: Arc<HashSet<char>>,
}

struct WorkerState {
    queue: Queue<Job>,
    model: ModelSlot,
}

/// Where the model is.
enum ModelSlot {
    Free(Box<Model>),
    /// A thread has it.
    Taken,
    /// The last run panicked.
    Lost,
}

/// A text that waits.
struct Job {
    text: String,
    /// Its position in the request.
    place: usize,
    urgency: Urgency,
    caller: Sender<Delivery>,
}

/// What a thread that waits is given.
enum Delivery {
    /// The vector of the text at a position of the request.
    Embedded(usize, Result<Vector, EmbeddingError>),
    /// The model, to run it for all who wait.
    Model(Box<Model>),
}

impl Waiting for Job {
    fn urgency(&self) -> Urgency {
        self.urgency
    }

    fn length(&self) -> usize {
        self.text.chars().count()
    }
}

impl EmbeddingWorker {
    /// Shares a model, for which a new turn waits at most for `patience`.
    pub fn new(model: Model, patience: Duration) -> Self {
        let (id, dimension, letters) = (model.id().to_owned(), model.dimension(), Arc::clone(model.letters()));
        let state = WorkerState { queue: Queue::new(patience), model: ModelSlot::Free(Box::new(model)) };
        Self { state: Mutex::new(state), id, dimension, letters }
    }

    /// Whether the model can tell a text from others: to it, emoji are one and the same unknown piece.
    pub fn can_read(&self, text: &str) -> bool {
        let known = |c: char| self.letters.contains(&c) || c.to_lowercase().any(|lower| self.letters.contains(&lower));
        text.chars().any(|c| !c.is_whitespace() && known(c))
    }

    fn lock(&self) -> MutexGuard<'_, WorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues texts; takes the model if nobody has it.
    fn enqueue(
        &self,
        texts: &[String],
        urgency: Urgency,
        caller: &Sender<Delivery>,
    ) -> Result<Option<ModelHold<'_>>, EmbeddingError> {
        let job = |(place, text): (usize, &String)| Job { text: text.clone(), place, urgency, caller: caller.clone() };
        let mut state = self.lock();
        state.queue.add(urgency, texts.iter().enumerate().map(job))?;
        match std::mem::replace(&mut state.model, ModelSlot::Taken) {
            ModelSlot::Free(model) => Ok(Some(ModelHold { worker: self, model: Some(model) })),
            ModelSlot::Taken => Ok(None),
            ModelSlot::Lost => {
                state.lose();
                Err(crashed())
            }
        }
    }
}

impl WorkerState {
    /// Those who wait notice that nobody will answer.
    fn lose(&mut self) {
        self.model = ModelSlot::Lost;
        self.queue.clear();
    }
}

fn crashed() -> EmbeddingError {
    EmbeddingError::Failed("the model has crashed; restart the server".to_owned())
}

/// The model in the hands of a thread. When it is dropped, the model goes to a thread that waits, or is free. If a run
/// panics, the model is lost.
struct ModelHold<'a> {
    worker: &'a EmbeddingWorker,
    model: Option<Box<Model>>,
}

impl ModelHold<'_> {
    /// Embeds one batch of those who wait.
    fn run(&mut self) -> Result<(), EmbeddingError> {
        let mut batch = self.worker.lock().queue.next_batch();
        // While it runs, it is nowhere: a panic loses it.
        let mut model = self.model.take().ok_or_else(crashed)?;
        let (size, start) = (RunSize::of(&batch), Instant::now());
        let texts: Vec<String> = batch.iter_mut().map(|job| std::mem::take(&mut job.text)).collect();
        let result = model.run(&texts);
        self.model = Some(model);
        self.worker.lock().queue.ran(&size, start.elapsed());
        for (index, job) in batch.into_iter().enumerate() {
            let one = match &result {
                Ok(vectors) => Ok(vectors[index].clone()),
                Err(error) => Err(EmbeddingError::Failed(error.to_string())),
            };
            // The caller may be gone.
            let _ = job.caller.send(Delivery::Embedded(job.place, one));
        }
        Ok(())
    }
}

impl Drop for ModelHold<'_> {
    fn drop(&mut self) {
        let mut state = self.worker.lock();
        let Some(mut model) = self.model.take() else { return state.lose() };
        while let Some(job) = state.queue.first() {
            match job.caller.send(Delivery::Model(model)) {
                Err(SendError(Delivery::Model(back))) => model = back,
                _ => return,
            }
            // Its caller is gone.
            state.queue.drop_first();
        }
        state.model = ModelSlot::Free(model);
    }
}

impl Embedder for EmbeddingWorker {
    fn id(&self) -> &str {
        &self.id
    }

    fn blocks(&self) -> &[usize] {
        std::slice::from_ref(&self.dimension)
    }

    fn is_alive(&self) -> bool {
        !matches!(self.lock().model, ModelSlot::Lost)
    }

    fn remembers(&self, _: &str) -> bool {
        false
    }

    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        let (caller, deliveries) = mpsc::channel();
        let mut hold = self.enqueue(texts, urgency, &caller)?;
        // From now on only the jobs can send; without them nothing comes.
        drop(caller);
        let mut out: Vec<Result<Vector, EmbeddingError>> = texts.iter().map(|_| Err(crashed())).collect();
        // After an error, too, the others are awaited: the model may be on its way to this thread.
        let mut missing = texts.len();
        while missing > 0 {
            let delivery = match &mut hold {
                None => deliveries.recv().map_err(|_| crashed())?,
                Some(model) => match deliveries.try_recv() {
                    Ok(delivery) => delivery,
                    Err(mpsc::TryRecvError::Empty) => {
                        model.run()?;
                        continue;
                    }
                    Err(mpsc::TryRecvError::Disconnected) => return Err(crashed()),
                },
            };
            match delivery {
                Delivery::Embedded(place, vector) => {
                    out[place] = vector;
                    missing -= 1;
                }
                Delivery::Model(model) => hold = Some(ModelHold { worker: self, model: Some(model) }),
            }
        }
        out.into_iter().collect()
    }
}
