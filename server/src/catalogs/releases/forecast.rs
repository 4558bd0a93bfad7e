//! What a version would answer differently: to what users have said, and in its own fixtures.

use banter_engine::forecast;
use banter_stores::Millis;
use tokio::task::block_in_place;

use super::Releases;
use crate::catalogs::{
    gate::{CheckedVersion, GateStage, GateStep, Progress},
    serving::Serving,
    terms::{Forecast, ReleaseError},
    timestamp,
};

const DAY: Millis = 24 * 60 * 60 * 1000;

impl Releases {
    pub(super) async fn forecast(
        &self,
        from: &Serving,
        candidate: &CheckedVersion,
        with_texts: bool,
        progress: Progress<'_>,
    ) -> Result<Forecast, ReleaseError> {
        let (limits, now) = (self.limits, self.now());
        let since = now - Millis::from(limits.utterance_days) * DAY;
        let said = self.stores().turns.utterances(since, limits.utterances).await?;
        let (said, more) = (said.texts, said.more);
        let gate = &self.source.gate;
        let engine = gate.replaying_engine(&candidate.snapshot.catalogue, &candidate.fixtures, progress)?;
        let snapshots = [&*from.snapshot, &candidate.snapshot];
        let at = timestamp(now);
        let internal = |error: banter_engine::EngineError| ReleaseError::Internal(error.to_string());
        let (mut of_users, mut of_fixtures) = (Vec::new(), Vec::new());
        block_in_place(|| {
            gate.run(|| {
                for (done, text) in said.iter().enumerate() {
                    progress(GateStep { stage: GateStage::Replay, done, total: said.len() });
                    of_users.extend(forecast::of_utterance(&engine, snapshots, text, at).map_err(internal)?);
                }
                for fixture in &candidate.fixtures {
                    of_fixtures.extend(forecast::of_fixture(&engine, snapshots, fixture).map_err(internal)?);
                }
                Ok::<_, ReleaseError>(())
            })
        })?;
        let changed = of_users.len();
        if !with_texts {
            of_users.clear();
        }
        let days = limits.utterance_days;
        Ok(Forecast { days, utterances: said.len(), more, changed, of_users, of_fixtures })
    }
}
