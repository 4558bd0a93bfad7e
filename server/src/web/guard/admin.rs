//! Administrators: programs by a key with scopes, people by their account's role. The type of the guard names what it proves.

use std::marker::PhantomData;

use banter_stores::secret::Secret;
use rocket::{
    Request,
    request::{FromRequest, Outcome},
};
use tracing::Instrument;

use super::{app, prove};
use crate::{
    catalogs::terms::Actor,
    config::release::{AdminConfig, Scope},
    web::{
        body::refuse,
        context::Trace,
        problem::{Problem, RequestError},
    },
};

/// Who may administrate, beside users of that role.
pub struct AdminKeys(Vec<(String, Secret, Vec<Scope>)>);

impl AdminKeys {
    /// Those of the configuration, and one that was made on this machine.
    pub fn of(config: &AdminConfig, local: Option<Secret>) -> Self {
        let all = |name: &str, key: Secret| (name.to_owned(), key, Scope::ALL.to_vec());
        let named = config.keys.iter().map(|key| (key.name.clone(), key.key.clone(), key.scopes.clone()));
        let whole = config.key.clone().map(|key| all("admin", key));
        Self(whole.into_iter().chain(local.map(|key| all("local", key))).chain(named).collect())
    }

    /// The name and scopes of a key. All keys are compared, whichever it is.
    fn find(&self, given: &str) -> Option<(&str, &[Scope])> {
        let matching = self.0.iter().filter(|(_, key, _)| key.matches(given)).collect::<Vec<_>>();
        matching.first().map(|(name, _, scopes)| (name.as_str(), scopes.as_slice()))
    }
}

/// A scope as a type.
pub trait Needs: Send {
    /// Which.
    const SCOPE: Scope;
}

macro_rules! scopes {
    ($($name:ident),*) => {$(
        /// As a type.
        pub struct $name;
        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}
scopes!(Read, Publish, Activate, Audit);

/// An administrator who may do this.
pub struct Admin<S> {
    /// For the audit log.
    pub actor: Actor,
    scopes: Vec<Scope>,
    proves: PhantomData<fn() -> S>,
}

impl<S> Admin<S> {
    /// Whether they may do something else too.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

#[rocket::async_trait]
impl<'r, S: Needs> FromRequest<'r> for Admin<S> {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let found = find(request).instrument(Trace::of(request).span()).await;
        let allowed = found.and_then(|(actor, scopes)| {
            if scopes.contains(&S::SCOPE) { Ok((actor, scopes)) } else { Err(RequestError::NotAllowed.into()) }
        });
        match allowed {
            Ok((actor, scopes)) => Outcome::Success(Self { actor, scopes, proves: PhantomData }),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

async fn find(request: &Request<'_>) -> Result<(Actor, Vec<Scope>), Problem> {
    let app = app(request)?;
    if let Some(given) = request.headers().get_one("X-Admin-Key") {
        let (name, scopes) = app.access.admins.find(given).ok_or(RequestError::WrongKey)?;
        return Ok((Actor { user: None, name: format!("key:{name}") }, scopes.to_vec()));
    }
    let user = prove(request).await?;
    if !app.accounts.is_admin(user).await? {
        return Err(RequestError::NotAllowed.into());
    }
    Ok((Actor { user: Some(user), name: format!("user:{}", user.0) }, Scope::ALL.to_vec()))
}
