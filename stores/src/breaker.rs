//! A time-out and a circuit breaker around each store (M. Nygard, "Release It!", 2007). Calls to a dead store fail
//! within the time-out, then at once. After a growing pause with jitter, one call probes the store while the others
//! still fail.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::RngExt;
use tokio::{sync::Semaphore, time::timeout};

use super::StoreError;

/// Consecutive failures that open the circuit. One time-out is enough to open it, so that no other call waits as long.
const REFUSALS: u32 = 3;
/// The first and the longest pause before probing a dead store.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// Doubling pauses, each shortened by up to a half, so that servers that lost a store together don't return together.
#[derive(Clone, Debug)]
pub struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.mul_f64(rand::rng().random_range(0.5..1.0));
        self.next = (self.next * 2).min(self.longest);
        Some(pause)
    }
}

/// The circuit breaker of one store.
#[derive(Clone)]
pub struct Breaker {
    store: &'static str,
    limit: Duration,
    circuit: Arc<Mutex<Circuit>>,
    /// Calls that may run at the same time. Who waits for a place has not asked the store yet, so a long queue of this
    /// server does not count as an outage.
    places: Arc<Semaphore>,
}

/// Whether a service answers, from what its last calls showed.
#[derive(Debug)]
pub struct Circuit {
    refusals: u32,
    pauses: Pauses,
    /// The pauses of a circuit that has just closed.
    fresh: Pauses,
    /// No call is admitted before this time; `None` for a closed circuit.
    open_until: Option<Instant>,
    /// A call is probing the service.
    probing: bool,
}

impl Circuit {
    /// Starts closed.
    pub fn closed(pauses: Pauses) -> Self {
        Self { refusals: 0, pauses: pauses.clone(), fresh: pauses, open_until: None, probing: false }
    }

    /// Whether a call would be refused now.
    fn refuses(&self) -> bool {
        self.open_until.is_some_and(|until| self.probing || Instant::now() < until)
    }

    /// `None` if the call is refused; otherwise whether it is the probe. Report what comes of it.
    pub fn admit(&mut self) -> Option<bool> {
        if self.refuses() {
            return None;
        }
        self.probing = self.open_until.is_some();
        Some(self.probing)
    }

    /// The service has answered a call: the circuit closes.
    pub fn answered(&mut self) {
        *self = Self { probing: self.probing, ..Self::closed(self.fresh.clone()) };
    }

    /// A call has failed. Some failures in a row open the circuit.
    pub fn failed(&mut self) {
        self.refusals += 1;
        if self.refusals >= REFUSALS {
            self.open();
        }
    }

    /// A call has had no answer: the circuit opens.
    fn timed_out(&mut self) {
        self.refusals = self.refusals.max(REFUSALS);
        self.open();
    }

    /// The probe has ended, whatever came of it.
    pub fn probed(&mut self) {
        self.probing = false;
    }

    fn open(&mut self) {
        self.open_until = Some(Instant::now() + self.pauses.next().unwrap_or(PAUSES.1));
    }
}

/// Lets the next call probe when this one ends, even if it is dropped without a result.
struct Probe<'a>(&'a Breaker);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.circuit().probed();
    }
}

impl Breaker {
    /// Starts closed; `limit` bounds each call. Any number of calls may run at the same time.
    pub fn new(store: &'static str, limit: Duration) -> Self {
        Self::over(store, limit, Semaphore::MAX_PERMITS)
    }

    /// Like [`Self::new`], for a store with this many connections.
    pub fn with_places(store: &'static str, limit: Duration, places: u32) -> Self {
        Self::over(store, limit, places as usize)
    }

    fn over(store: &'static str, limit: Duration, places: usize) -> Self {
        let circuit = Arc::new(Mutex::new(Circuit::closed(Pauses::new(PAUSES.0, PAUSES.1))));
        Self { store, limit, circuit, places: Arc::new(Semaphore::new(places)) }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` against the store.
    ///
    /// # Errors
    /// Those of `work`; an outage if it takes too long or the circuit is open; busy if no place is free in time.
    pub async fn call<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let refused = || StoreError::outage(self.store, "it did not answer a moment ago");
        if self.circuit().refuses() {
            return Err(refused());
        }
        let place = timeout(self.limit, self.places.acquire()).await;
        let _place = place.map_err(|_| StoreError::busy(self.store, "all its connections are in use"))?;
        let admitted = self.circuit().admit();
        let _probe = admitted.ok_or_else(refused)?.then(|| Probe(self));
        let result = timeout(self.limit, work).await;
        let mut circuit = self.circuit();
        match result {
            Ok(Err(error)) if error.is_outage() => {
                circuit.failed();
                Err(error)
            }
            // Any other result shows that the store responds.
            Ok(result) => {
                circuit.answered();
                result
            }
            Err(_) => {
                circuit.timed_out();
                Err(StoreError::outage(self.store, format!("no answer within {} ms", self.limit.as_millis())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trouble;

    async fn refused(breaker: &Breaker) -> String {
        breaker.call(async { Err::<(), _>(StoreError::outage("test", "refused")) }).await.unwrap_err().message
    }

    async fn good(breaker: &Breaker) -> Result<(), StoreError> {
        breaker.call(async { Ok(()) }).await
    }

    fn pause_is_over(breaker: &Breaker) {
        breaker.circuit().open_until = Some(Instant::now());
    }

    #[tokio::test]
    async fn refusals_open_the_circuit_and_an_answer_closes_it() {
        let breaker = Breaker::new("test", Duration::from_secs(5));
        for _ in 0..REFUSALS {
            assert_eq!(refused(&breaker).await, "refused");
        }
        assert!(good(&breaker).await.unwrap_err().message.contains("a moment ago"));
        pause_is_over(&breaker);
        assert_eq!(refused(&breaker).await, "refused", "the probe fails");
        assert!(good(&breaker).await.is_err(), "and the next pause begins");
        pause_is_over(&breaker);
        assert!(good(&breaker).await.is_ok());
        assert_eq!(refused(&breaker).await, "refused", "one failure does not open a closed circuit");
        assert!(good(&breaker).await.is_ok());
    }

    #[tokio::test]
    async fn one_time_out_is_enough_and_one_probe_at_a_time() {
        let breaker = Breaker::new("test", Duration::from_millis(10));
        let dead = breaker.call(std::future::pending::<Result<(), StoreError>>()).await.unwrap_err();
        assert!(dead.message.contains("no answer within 10 ms"), "{dead}");
        assert!(good(&breaker).await.is_err());
        pause_is_over(&breaker);
        let probe = breaker.call(async {
            assert!(good(&breaker).await.is_err(), "other calls are refused during a probe");
            Ok(())
        });
        assert!(probe.await.is_ok() && good(&breaker).await.is_ok());
    }

    #[tokio::test]
    async fn a_probe_that_is_dropped_makes_room_for_the_next() {
        let breaker = Breaker::new("test", Duration::from_secs(5));
        for _ in 0..REFUSALS {
            refused(&breaker).await;
        }
        pause_is_over(&breaker);
        let dropped = timeout(Duration::from_millis(1), breaker.call(std::future::pending::<Result<(), StoreError>>()));
        assert!(dropped.await.is_err());
        assert!(good(&breaker).await.is_ok());
    }

    #[tokio::test]
    async fn a_queue_is_no_outage() {
        let breaker = Breaker::with_places("test", Duration::from_millis(5), 1);
        let place = breaker.places.acquire().await.unwrap();
        for _ in 0..2 * REFUSALS {
            assert_eq!(good(&breaker).await.unwrap_err().trouble, Trouble::Busy);
        }
        drop(place);
        assert!(good(&breaker).await.is_ok(), "the circuit stayed closed");
    }

    #[tokio::test]
    async fn damage_is_no_outage() {
        let breaker = Breaker::new("test", Duration::from_secs(1));
        for _ in 0..10 {
            let error = breaker.call(async { Err::<(), _>(StoreError::damaged("test", "odd")) }).await.unwrap_err();
            assert_eq!(error.message, "odd");
        }
    }
}
