//! No panic can reach C: the body of every exported function is one call of the guard.

// A test that cannot go on fails.
#![allow(clippy::unwrap_used)]

mod source;
mod symbols;

use syn::{Attribute, Block, Expr, Item, ItemFn, Stmt};

/// Words that export a function or an object under its own name, or hide code that might.
const EXPORTS: [&str; 4] = ["no_mangle", "export_name", "link_section", "global_asm"];
const WALLS: [&str; 4] = ["status", "value", "pointer", "quiet"];

fn is_export(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string().contains("no_mangle"),
        meta => meta.path().is_ident("no_mangle"),
    })
}

/// Is it `guard::WALL(..., || ...)`, and is all that is computed inside the closure?
fn is_wall(block: &Block) -> bool {
    let [Stmt::Expr(Expr::Call(call), _)] = &block.stmts[..] else { return false };
    let Expr::Path(function) = &*call.func else { return false };
    let names: Vec<String> =
        function.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    let Some((Expr::Closure(_) | Expr::Path(_), before)) =
        call.args.iter().collect::<Vec<_>>().split_last().map(|(last, before)| (*last, before.to_vec()))
    else {
        return false;
    };
    matches!(&names[..], [room, wall] if room == "guard" && WALLS.contains(&wall.as_str()))
        && before.into_iter().all(is_constant)
}

/// A value that cannot panic: a name, a number, `-1`, `()`, `ptr::null()`, a cast of one of these.
fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Path(_) | Expr::Lit(_) => true,
        Expr::Tuple(tuple) => tuple.elems.is_empty(),
        Expr::Unary(unary) => is_constant(&unary.expr),
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::Call(call) => {
            let Expr::Path(function) = &*call.func else { return false };
            call.args.is_empty()
                && function.path.segments.first().is_some_and(|segment| segment.ident == "ptr")
        }
        _ => false,
    }
}

/// The exported functions of a file, and how many other things it exports.
fn exports(text: &str) -> (Vec<ItemFn>, usize) {
    let mut functions = Vec::new();
    let mut objects = 0;
    for item in syn::parse_file(text).unwrap().items {
        match item {
            Item::Fn(function) if is_export(&function.attrs) => functions.push(function),
            Item::Static(object) if is_export(&object.attrs) => objects += 1,
            _ => {}
        }
    }
    (functions, objects)
}

#[test]
fn every_exported_function_is_behind_the_wall() {
    let mut names = Vec::new();
    for source in source::files() {
        let (functions, objects) = exports(&source.text);
        // Exports that are not at file level, or made by macros, would be missed above.
        let words = source.words();
        let mentioned = words.iter().filter(|word| EXPORTS.contains(&word.as_str())).count();
        assert_eq!(mentioned, functions.len() + objects, "hidden exports in {}", source.path.display());
        for function in functions {
            let name = function.sig.ident.to_string();
            assert!(function.sig.abi.is_some(), "{name} is not extern \"C\"");
            assert!(is_wall(&function.block), "{name} is not one call of the guard");
            names.push(name);
        }
    }
    names.sort();
    let mut expected = symbols::names();
    expected.retain(|name| !name.starts_with("DRMAA2_"));
    // The entry of the agent's program is no function of the API.
    expected.push("drmaa2d_main".to_owned());
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn what_is_not_behind_the_wall_is_found() {
    let is_wall_in = |body: &str| is_wall(&syn::parse_str::<Block>(&format!("{{ {body} }}")).unwrap());
    for good in [
        "guard::status(|| Ok(()))",
        "guard::quiet((), || unsafe { free(x) })",
        "guard::value(-1, || { let x = f()?; Ok(x) })",
        "guard::value(ptr::null(), || Ok(x))",
        "guard::pointer(none)",
    ] {
        assert!(is_wall_in(good), "{good}");
    }
    for bad in [
        "",
        "0",
        "unsafe { *x }",
        "f(); guard::status(|| Ok(()))",
        "guard::status(|| Ok(())); f()",
        "guard::status(|| Ok(())) + f()",
        "guard::value(f(), || Ok(x))",
        "guard::value(x[0], || Ok(x))",
        "guard::status(f())",
        "other::status(|| Ok(()))",
        "guard::other(|| Ok(()))",
        "match x { 0 => 1, _ => guard::status(|| Ok(())) }",
    ] {
        assert!(!is_wall_in(bad), "{bad}");
    }
}
