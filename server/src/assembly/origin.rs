//! Which version a server begins with: the one that the store names, or the bot's folder.

use std::sync::Arc;

use banter_engine::{
    Engine,
    catalogue::{Catalogue, bundle::Bundle},
    diagnostic::Diagnostics,
    handlers::{plugin::PluginRuntime, script::Scripting},
    snapshot::Stage,
};
use banter_sandbox::Sandbox;
use banter_stores::{Stores, catalog::VersionRecord, clock::SharedClock};

use super::{ReleaseParts, StartError, store_failed};
use crate::{
    catalogs::{
        self, BotError, Catalogs,
        follower::Follower,
        gate::{Gate, GateStage, GateStep, Progress},
        releases::{ReleaseLimits, Releases},
        serving::{Serving, short},
        source::Source,
        terms::{Actor, ReleaseError, Wish},
    },
    config::Config,
    setup::SetupError,
};

/// The parts that exist before the bot is loaded.
pub(super) struct Parts<'a> {
    pub config: &'a Config,
    pub stores: Stores,
    pub clock: SharedClock,
    pub scripting: Arc<Scripting>,
    pub sandbox: Arc<Sandbox>,
    pub progress: Progress<'a>,
}

/// What a server starts with.
pub(super) enum Origin {
    /// The version that the store names. If the folder is watched but has errors, with the errors.
    Store(Box<VersionRecord>, Option<StartError>),
    /// The bot's folder: nothing was published yet, or the folder is watched and has changed.
    Folder(Box<Folder>),
}

/// A bot's folder that loads.
pub(super) struct Folder {
    catalogue: Catalogue,
    bundle: Bundle,
    diagnostics: Diagnostics,
    /// The version to serve if the folder does not pass.
    stored: Option<VersionRecord>,
}

/// A server that serves a version.
pub(super) struct Started {
    pub serving: ReleaseParts,
    /// Why the folder is not served, if the previous version is.
    pub not_taken: Option<StartError>,
}

impl Parts<'_> {
    /// The store decides what is served. The folder is used only if nothing is published yet, or if it is watched.
    pub(super) async fn origin(&self, follows: bool) -> Result<Origin, StartError> {
        let failed = |error| store_failed(&error);
        let activation = self.stores.catalog.activation().await.map_err(failed)?;
        let stored = match &activation {
            Some(activation) => self.stores.catalog.version(&activation.version).await.map_err(failed)?,
            None => None,
        };
        if let (Some(record), false) = (&stored, follows) {
            return Ok(Origin::Store(Box::new(record.clone()), None));
        }
        let mut diagnostics = Diagnostics::default();
        let bundle = catalogs::read(&self.config.bot, &mut diagnostics)?;
        if let Some(record) = stored.as_ref().filter(|record| bundle.manifest().id() == record.id) {
            return Ok(Origin::Store(Box::new(record.clone()), None));
        }
        // Loading compiles new plugins, which takes a while.
        (self.progress)(GateStep { stage: GateStage::Load, done: 0, total: 1 });
        let loaded = catalogs::load_bundle(
            &self.config.bot,
            &bundle,
            &diagnostics,
            &self.scripting,
            &*self.sandbox,
            &self.config.outside,
        );
        match (loaded, stored) {
            (Ok(catalogue), stored) => Ok(Origin::Folder(Box::new(Folder { catalogue, bundle, diagnostics, stored }))),
            (Err(error), Some(stored)) => Ok(Origin::Store(Box::new(stored), Some(error.into()))),
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Serves what the server starts with.
    pub(super) async fn start(&self, engine: &Arc<Engine>, origin: Origin) -> Result<Started, StartError> {
        match origin {
            Origin::Store(record, not_taken) => {
                Ok(Started { serving: self.serve_stored(engine, &record).await?, not_taken })
            }
            Origin::Folder(folder) => {
                let Folder { catalogue, bundle, diagnostics, stored } = *folder;
                let serving = self.serve_folder(engine, catalogue, &bundle)?;
                match (self.publish(&serving, bundle, diagnostics).await, stored) {
                    (Ok(()), _) => Ok(Started { serving, not_taken: None }),
                    (Err(error), None) => Err(error),
                    (Err(error), Some(stored)) => {
                        Ok(Started { serving: self.serve_stored(engine, &stored).await?, not_taken: Some(error) })
                    }
                }
            }
        }
    }

    fn serve_folder(
        &self,
        engine: &Arc<Engine>,
        catalogue: Catalogue,
        bundle: &Bundle,
    ) -> Result<ReleaseParts, StartError> {
        let folder = self.config.data_dir.join("index");
        let built = tokio::task::block_in_place(|| {
            catalogs::build(catalogue, engine, Some(&folder), &mut |stage| self.show(stage))
        });
        let serving = Serving::new(bundle.manifest().id(), built?.0);
        Ok(self.versions(self.source(engine)?, serving))
    }

    /// Builds the version that the store names, without reusing another one.
    async fn serve_stored(&self, engine: &Arc<Engine>, record: &VersionRecord) -> Result<ReleaseParts, StartError> {
        let source = self.source(engine)?;
        let built = source.build(record, None, &|stage| self.show(stage)).await;
        let serving = built.map_err(|error| {
            let message = format!("cannot serve the active version {}: {error}", short(&record.id));
            SetupError::new(message, "see the log; roll back from another server")
        })?;
        let versions = self.versions(source, serving);
        // Also loads a canary.
        versions.follower.follow().await;
        Ok(versions)
    }

    fn source(&self, engine: &Arc<Engine>) -> Result<Arc<Source>, StartError> {
        let plugins: Arc<dyn PluginRuntime> = self.sandbox.clone();
        let data_dir = &self.config.data_dir;
        let gate = Gate::new(engine, self.scripting.clone(), plugins, self.config.outside.clone(), data_dir)
            .map_err(|error| SetupError::new(error.to_string(), "check the limits of this process"))?;
        Ok(Arc::new(Source::new(self.stores.clone(), gate, Arc::clone(engine), data_dir)))
    }

    fn versions(&self, source: Arc<Source>, serving: Serving) -> ReleaseParts {
        let limits = ReleaseLimits {
            utterance_days: self.config.reload.utterance_days,
            utterances: self.config.reload.utterances,
        };
        let catalogs = Arc::new(Catalogs::new(serving));
        let follower = Arc::new(Follower::new(Arc::clone(&source), catalogs, server_name(self.config.port)));
        let clock = Arc::clone(&self.clock);
        let releases = Arc::new(Releases::new(Arc::clone(&source), Arc::clone(&follower), clock, limits));
        ReleaseParts { source, follower, releases }
    }

    /// Publishes the folder as it is at the start. If two servers start at the same time, one publishes and the other
    /// follows.
    async fn publish(
        &self,
        versions: &ReleaseParts,
        bundle: Bundle,
        diagnostics: Diagnostics,
    ) -> Result<(), StartError> {
        let actor = Actor { user: None, name: "start".to_owned() };
        let message = "the bot's folder at server start".to_owned();
        let wish = Wish { message, skip_fixtures: !self.config.reload.replay_at_start, ..Wish::default() };
        match versions.releases.publish(bundle, diagnostics, &wish, &actor, self.progress).await {
            Ok(_) => Ok(()),
            Err(ReleaseError::Conflict | ReleaseError::Overtaken(_)) => {
                versions.follower.follow().await;
                Ok(())
            }
            Err(ReleaseError::Refused(report)) => Err(StartError::Refused(report)),
            Err(error) => Err(SetupError::new(error.to_string(), "see the log").into()),
        }
    }

    fn show(&self, stage: Stage) {
        (self.progress)(stage.into());
    }
}

/// The server's name for people. The address does not identify a server: in containers it is 0.0.0.0.
fn server_name(port: u16) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.as_deref().map_or("unknown", str::trim);
    format!("{host}:{port}")
}

impl From<BotError> for SetupError {
    fn from(error: BotError) -> Self {
        let hint = match &error {
            BotError::Unreadable { .. } => "choose a folder with --bot DIR, or create a bot with `banter new <name>`",
            BotError::Refused { .. } => "`banter check` lists the errors; fix them and try again",
            BotError::Build(_) => "see the log; `make setup` downloads the model again",
        };
        Self::new(error.to_string(), hint)
    }
}
