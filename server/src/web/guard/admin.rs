//! Guards for administrators: programs use a key with scopes, people an account with the administrator role. The
//! guard's type names the scope that it checks.

use std::{collections::BTreeMap, marker::PhantomData};

use banter_stores::secret::Secret;
use rocket::{
    Request,
    request::{FromRequest, Outcome},
};
use tracing::Instrument;
use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::{app, prove};
use crate::{
    catalogs::terms::Actor,
    config::release::{AdminConfig, Scope},
    web::{
        body::refuse,
        context::{Trace, address_of},
        document::problems,
        problem::{Problem, RequestError},
    },
};

/// Administrator keys: name, key, scopes.
pub struct AdminKeys(Vec<(String, Secret, Vec<Scope>)>);

impl AdminKeys {
    /// The configured keys, and the key generated on this machine.
    pub fn of(config: &AdminConfig, local: Option<Secret>) -> Self {
        let all = |name: &str, key: Secret| (name.to_owned(), key, Scope::ALL.to_vec());
        let named = config.keys.iter().map(|key| (key.name.clone(), key.key.clone(), key.scopes.clone()));
        let whole = config.key.clone().map(|key| all("admin", key));
        Self(whole.into_iter().chain(local.map(|key| all("local", key))).chain(named).collect())
    }

    /// The name and scopes of a key. Compares all keys, so that the time doesn't depend on which one matches.
    fn find(&self, given: &str) -> Option<(&str, &[Scope])> {
        let matching = self.0.iter().filter(|(_, key, _)| key.matches(given)).collect::<Vec<_>>();
        matching.first().map(|(name, _, scopes)| (name.as_str(), scopes.as_slice()))
    }
}

/// A scope as a type.
pub trait Needs: Send {
    const SCOPE: Scope;
}

macro_rules! scopes {
    ($($name:ident),*) => {$(
        pub struct $name;
        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}
scopes!(Read, Publish, Activate, Audit, Answer, Users);

/// An administrator with scope `S`.
pub struct Admin<S> {
    pub actor: Actor,
    scopes: Vec<Scope>,
    proves: PhantomData<fn() -> S>,
}

impl<S> Admin<S> {
    /// Whether the administrator has another scope too.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// An administrator with any scopes.
pub struct AnyAdmin {
    pub actor: Actor,
    pub scopes: Vec<Scope>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for AnyAdmin {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        match find(request).instrument(Trace::of(request).span()).await {
            Ok((actor, scopes)) => Outcome::Success(Self { actor, scopes }),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

impl IntoResponses for AnyAdmin {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        Admin::<Read>::responses()
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

impl<S> IntoResponses for Admin<S> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([401, 403, 500, 503])
    }
}

async fn find(request: &Request<'_>) -> Result<(Actor, Vec<Scope>), Problem> {
    let app = app(request)?;
    if let Some(given) = request.headers().get_one("X-Admin-Key") {
        let Some((name, scopes)) = app.access.admins.find(given) else {
            app.releases.note_wrong_key(&address_of(request)).await?;
            return Err(RequestError::WrongKey.into());
        };
        return Ok((Actor { user: None, name: format!("key:{name}") }, scopes.to_vec()));
    }
    let user = prove(request).await?.user;
    if !app.accounts.is_admin(user).await? {
        return Err(RequestError::NotAllowed.into());
    }
    Ok((Actor { user: Some(user), name: format!("user:{}", user.0) }, Scope::ALL.to_vec()))
}
