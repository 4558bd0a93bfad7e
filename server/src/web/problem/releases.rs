//! Why a version is not in use.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use super::Problem;
use crate::{
    catalogs::terms::{Bound, NothingToDo, ReleaseError},
    web::document::problems,
};

impl IntoResponses for ReleaseError {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([404, 409, 412, 422, 500, 503])
    }
}

impl From<ReleaseError> for Problem {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Refused(report) => Self::new(
                422,
                "version_refused",
                "The version did not pass its checks; `report` says why. Nothing was changed.",
                "Версия не прошла проверку; причины указаны в `report`. Ничего не изменилось.",
            )
            .with_report(report),
            ReleaseError::Conflict => Self::new(
                409,
                "activation_conflict",
                "Another version was activated in the meantime; review it and try again.",
                "За это время активировали другую версию; проверьте её и повторите запрос.",
            ),
            ReleaseError::Overtaken(version) => Self::new(
                409,
                "overtaken",
                format!(
                    "Another version was activated while this one was checked. It is stored as {version}: activate it \
                     if it is still wanted."
                ),
                format!(
                    "Пока версия проверялась, активировали другую. Она сохранена как {version}: активируйте её, если \
                     она ещё нужна."
                ),
            ),
            ReleaseError::Stale => Self::new(
                412,
                "precondition_failed",
                "The current generation is not the one in If-Match.",
                "Текущее поколение не совпадает с указанным в If-Match.",
            ),
            ReleaseError::Unknown(_) => Self::new(
                404,
                "unknown_version",
                "No version has this id, or several ids begin with it.",
                "Версии с таким идентификатором нет, или с него начинаются несколько.",
            ),
            ReleaseError::Nothing(reason) => Self::new(
                409,
                "nothing_to_do",
                format!("This is not possible: {reason}."),
                format!("Это невозможно: {}.", nothing_in_russian(reason)),
            ),
            ReleaseError::Bounds(bound) => Self::new(
                422,
                "out_of_bounds",
                format!("A value is not allowed: {bound}."),
                format!("Недопустимое значение: {}.", bound_in_russian(bound)),
            ),
            ReleaseError::Store(error) => error.into(),
            ReleaseError::Internal(cause) => Self::internal(&cause),
        }
    }
}

fn nothing_in_russian(reason: NothingToDo) -> &'static str {
    match reason {
        NothingToDo::NoEarlierVersion => "раньше не было другой версии",
        NothingToDo::NothingPublished => "ещё ничего не опубликовано",
        NothingToDo::NoCanary => "нет пробной версии",
        NothingToDo::AlreadyForAll => "эта версия уже у всех",
    }
}

fn bound_in_russian(bound: Bound) -> &'static str {
    match bound {
        Bound::LongMessage => "сообщение длиннее 500 символов",
        Bound::ControlCharacters => "в сообщении есть переводы строк или другие управляющие символы",
        Bound::CanaryShare => "доля пользователей пробной версии должна составлять от 1 до 99 процентов",
    }
}
