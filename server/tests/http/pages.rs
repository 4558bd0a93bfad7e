//! Pages that show the API.

use crate::support::server;

#[rocket::async_test]
async fn the_api_is_shown_without_the_internet() {
    let server = server().await;
    for (path, kind, part) in [
        ("/docs/", "text/html", "swagger-ui-bundle.js"),
        ("/docs/swagger-ui-bundle.js", "text/javascript", "SwaggerUIBundle"),
        ("/docs/swagger-ui.css", "text/css", ".swagger-ui"),
        ("/docs/swagger-initializer.js", "text/javascript", "../openapi.json"),
        ("/redoc", "text/html", "spec-url=\"openapi.json\""),
        ("/redoc/redoc.standalone.js", "text/javascript", "Redoc"),
    ] {
        let answer = server.browse_page(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").starts_with(kind), "{path}: {}", answer.header("content-type"));
        assert!(answer.body.as_str().unwrap().contains(part), "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    for (path, target) in [("/docs", "docs/"), ("/redoc/", "../redoc")] {
        let answer = server.browse_page(path).await;
        assert_eq!((answer.status, answer.header("location")), (308, target), "{path}");
    }
    for path in ["/docs/nothing", "/docs/../Cargo.toml", "/redoc/other.js"] {
        let answer = server.browse_page(path).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{path}");
    }
}
