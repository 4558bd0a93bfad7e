//! Types generated from `plugins/wit/plugin.wit`.

wasmtime::component::bindgen!({
    path: "../plugins/wit",
    world: "plugin",
    imports: { default: async | trappable },
    exports: { default: async },
});
