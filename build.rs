//! What the linker has to know about `libdrmaa2.so`, and Cargo cannot say.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Programs record this name; it changes when the binary interface does.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdrmaa2.so.1");
    // The library has threads and thread-local destructors: a dlclose must not take their code away.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
