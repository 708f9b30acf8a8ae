//! Facts from the source of `bazel-remote-apis`: prost and tonic wrote it from the original .proto files, and its
//! attributes say all that is on the wire.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use syn::{
    Attribute, Expr, ExprMethodCall, Fields, GenericArgument, ImplItem, ImplItemFn, Item, ItemEnum, ItemStruct, Lit,
    Path, PathArguments, Type, visit::Visit,
};

use super::{Facts, snake};

/// The scalar types that the packages use, as prost's attributes name them.
const SCALARS: [&str; 9] = ["string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "double", "float"];

/// Where the crate's generated files are; cargo knows.
pub fn sources() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["metadata", "--format-version=1", "--offline", "--locked"];
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "bazel-remote-apis").unwrap();
    PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("src").join("generated")
}

/// All facts of a package.
pub fn facts(sources: &std::path::Path, package: &str) -> Facts {
    let text = fs::read_to_string(sources.join(format!("{package}.rs"))).unwrap();
    let module = package.split('.').map(str::to_owned).collect();
    let mut reader = Reader { module, facts: Facts::new() };
    reader.items(&syn::parse_file(&text).unwrap().items);
    reader.facts
}

struct Reader {
    /// The Rust module; below the package a module is a message.
    module: Vec<String>,
    facts: Facts,
}

impl Reader {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Struct(item) if derives(&item.attrs, "Message") => self.message(item),
                Item::Enum(item) if derives(&item.attrs, "Enumeration") => self.enumeration(item, items),
                Item::Enum(item) if derives(&item.attrs, "Oneof") => self.oneof(item),
                Item::Mod(item) if !item.ident.to_string().ends_with("_server") => {
                    self.module.push(item.ident.to_string());
                    self.items(&item.content.as_ref().unwrap().1);
                    self.module.pop();
                }
                Item::Impl(item) if self.module.last().unwrap().ends_with("_client") => {
                    for item in &item.items {
                        if let ImplItem::Fn(method) = item {
                            self.method(method);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, item: &ItemStruct) {
        let message = self.name(&item.ident.to_string());
        self.facts.insert(format!("message {message}"));
        for field in &item.fields {
            let attribute = prost_attribute(&field.attrs);
            if attribute.contains_key("oneof") {
                continue;
            }
            let name = field.ident.as_ref().unwrap().to_string();
            let label = match (attribute.contains_key("repeated"), attribute.contains_key("optional")) {
                (true, _) => "repeated ",
                (_, true) if !attribute.contains_key("message") => "optional ",
                _ => "",
            };
            let kind = self.kind(&attribute, &field.ty);
            let name = name.trim_start_matches("r#");
            self.facts.insert(format!("{message}.{name} = {} {label}{kind}", attribute["tag"]));
        }
    }

    /// A module is the message; the Rust enum is named after the oneof.
    fn oneof(&mut self, item: &ItemEnum) {
        let message = snake(&self.module.join("."));
        let oneof = snake(&item.ident.to_string());
        for variant in &item.variants {
            let attribute = prost_attribute(&variant.attrs);
            let Fields::Unnamed(fields) = &variant.fields else { panic!("{oneof}") };
            let kind = self.kind(&attribute, &fields.unnamed[0].ty);
            let name = snake(&variant.ident.to_string());
            self.facts.insert(format!("{message}.{name} = {} oneof {oneof} {kind}", attribute["tag"]));
        }
    }

    fn enumeration(&mut self, item: &ItemEnum, beside: &[Item]) {
        let (name, ident) = (self.name(&item.ident.to_string()), &item.ident);
        let mut names = Names::default();
        for item in beside {
            if let Item::Impl(found) = item
                && matches!(&*found.self_ty, Type::Path(path) if path.path.is_ident(ident))
            {
                names.visit_item_impl(found);
            }
        }
        for variant in &item.variants {
            let Some((_, Expr::Lit(number))) = &variant.discriminant else { panic!("{name}") };
            let Lit::Int(number) = &number.lit else { panic!("{name}") };
            let wire = &names.0[&variant.ident.to_string()];
            self.facts.insert(format!("{name}.{wire} = {number}"));
        }
    }

    fn method(&mut self, method: &ImplItemFn) {
        let mut calls = Calls::default();
        calls.visit_block(&method.block);
        let Some(path) = calls.path else { return };
        let (client, server) = calls.streams.unwrap();
        let mut types = Messages::default();
        types.visit_signature(&method.sig);
        let names: Vec<_> = types.0.iter().map(|path| self.resolve(path)).collect();
        let [input, output] = names.as_slice() else { panic!("{path}: {names:?}") };
        let stream = |streams| if streams { "stream " } else { "" };
        self.facts.insert(format!("rpc {path} {}{input} -> {}{output}", stream(client), stream(server)));
    }

    fn kind(&self, attribute: &BTreeMap<String, String>, ty: &Type) -> String {
        if let Some(map) = attribute.get("map") {
            let (key, value) = map.split_once(", ").unwrap();
            let value =
                if value == "message" { format!("message {}", self.resolve(&innermost(ty))) } else { value.into() };
            return format!("map<{key}, {value}>");
        }
        if attribute.contains_key("message") {
            return format!("message {}", self.resolve(&innermost(ty)));
        }
        if let Some(path) = attribute.get("enumeration") {
            return format!("enum {}", self.resolve(&path.split("::").map(str::to_owned).collect::<Vec<_>>()));
        }
        SCALARS.into_iter().find(|scalar| attribute.contains_key(*scalar)).unwrap().to_owned()
    }

    fn name(&self, ident: &str) -> String {
        snake(&format!("{}.{ident}", self.module.join(".")))
    }

    /// A Rust path as the name of a protobuf type.
    fn resolve(&self, path: &[String]) -> String {
        if path.is_empty() {
            return "google.protobuf.empty".to_owned();
        }
        let mut names = self.module.clone();
        for segment in path {
            match segment.as_str() {
                "super" => drop(names.pop()),
                name => names.push(name.to_owned()),
            }
        }
        snake(&names.join("."))
    }
}

/// The names of an enum's values, by variant: from `Self::Variant => "NAME"`.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let (syn::Pat::Path(path), Expr::Lit(name)) = (&arm.pat, &*arm.body)
            && let Lit::Str(name) = &name.lit
        {
            self.0.insert(path.path.segments.last().unwrap().ident.to_string(), name.value());
        }
    }
}

/// What a client's method calls: `/package.Service/Method`, and whether each side streams.
#[derive(Default)]
struct Calls {
    path: Option<String>,
    streams: Option<(bool, bool)>,
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        if let Some(path) = literal.value().strip_prefix('/') {
            self.path = Some(path.to_owned());
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        match call.method.to_string().as_str() {
            "unary" => self.streams = Some((false, false)),
            "server_streaming" => self.streams = Some((false, true)),
            "client_streaming" => self.streams = Some((true, false)),
            "streaming" => self.streams = Some((true, true)),
            _ => {}
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

/// The messages in a signature, in order: paths that begin with `super`, and `()` for Empty.
#[derive(Default)]
struct Messages(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Messages {
    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments[0].ident == "super" {
            self.0.push(idents(path));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_type_tuple(&mut self, tuple: &'ast syn::TypeTuple) {
        if tuple.elems.is_empty() {
            self.0.push(Vec::new());
        }
    }
}

/// The message in `Option<Message>`, `Vec<Message>`, `Box<Message>` or a map.
fn innermost(ty: &Type) -> Vec<String> {
    let Type::Path(ty) = ty else { panic!("not a path") };
    match &ty.path.segments.last().unwrap().arguments {
        PathArguments::AngleBracketed(arguments) => {
            let Some(GenericArgument::Type(ty)) = arguments.args.last() else { panic!("no type") };
            innermost(ty)
        }
        _ => idents(&ty.path),
    }
}

fn idents(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn derives(attributes: &[Attribute], what: &str) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("derive")).any(|attribute| {
        let mut found = false;
        let parsed = attribute.parse_nested_meta(|meta| {
            found |= meta.path.segments.last().is_some_and(|segment| segment.ident == what);
            Ok(())
        });
        parsed.is_ok() && found
    })
}

/// `#[prost(message, optional, tag = "1")]` as a map; words without a value have an empty one.
fn prost_attribute(attributes: &[Attribute]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("prost")) {
        let parsed = attribute.parse_nested_meta(|meta| {
            let name = meta.path.require_ident()?.to_string();
            let value = match meta.value() {
                Ok(value) => value.parse::<syn::LitStr>()?.value(),
                Err(_) => String::new(),
            };
            map.insert(name, value);
            Ok(())
        });
        parsed.unwrap();
    }
    map
}
