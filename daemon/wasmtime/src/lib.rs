//! wasmtime's C API as one static library for plasm-run; there is no code of our own here.
pub use wasmtime_c_api::*;
