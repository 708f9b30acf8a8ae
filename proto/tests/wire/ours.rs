//! Facts from a descriptor set.

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
};

use super::{Facts, snake};

/// All facts of a package.
pub fn facts(set: &[u8], package: &str) -> Facts {
    let mut facts = Facts::new();
    for file in files(set, package) {
        for message in &file.message_type {
            add_message(&mut facts, package, message);
        }
        for one in &file.enum_type {
            add_enum(&mut facts, package, one);
        }
        for service in &file.service {
            for method in &service.method {
                let stream = |streams| if streams { "stream " } else { "" };
                facts.insert(format!(
                    "rpc {package}.{}/{} {}{} -> {}{}",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    type_name(method.input_type()),
                    stream(method.server_streaming()),
                    type_name(method.output_type()),
                ));
            }
        }
    }
    facts
}

/// Each field with its name in JSON.
pub fn json_names(set: &[u8]) -> Vec<(String, String)> {
    fn walk(names: &mut Vec<(String, String)>, scope: &str, message: &DescriptorProto) {
        let scope = format!("{scope}.{}", message.name());
        names.extend(
            message.field.iter().map(|field| (format!("{scope}.{}", field.name()), field.json_name().to_owned())),
        );
        message.nested_type.iter().for_each(|nested| walk(names, &scope, nested));
    }
    let mut names = Vec::new();
    for file in FileDescriptorSet::decode(set).unwrap().file {
        file.message_type.iter().for_each(|message| walk(&mut names, file.package(), message));
    }
    assert!(names.len() > 300, "{} fields", names.len());
    names
}

/// The methods with `idempotency_level = NO_SIDE_EFFECTS`.
pub fn methods_without_side_effects(set: &[u8], package: &str) -> Facts {
    let mut facts = Facts::new();
    for service in files(set, package).iter().flat_map(|file| &file.service) {
        for method in &service.method {
            let level = method.options.as_ref().map(prost_types::MethodOptions::idempotency_level);
            if level == Some(IdempotencyLevel::NoSideEffects) {
                facts.insert(format!("{package}.{}/{}", service.name(), method.name()));
            }
        }
    }
    facts
}

fn files(set: &[u8], package: &str) -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(set).unwrap();
    set.file.into_iter().filter(|file| file.package() == package).collect()
}

fn add_message(facts: &mut Facts, scope: &str, message: &DescriptorProto) {
    let scope = format!("{scope}.{}", message.name());
    facts.insert(format!("message {}", snake(&scope)));
    for field in &message.field {
        let kind = kind(message, field);
        facts.insert(format!("{}.{} = {} {kind}", snake(&scope), field.name(), field.number()));
    }
    for nested in message.nested_type.iter().filter(|nested| !is_map_entry(nested)) {
        add_message(facts, &scope, nested);
    }
    for one in &message.enum_type {
        add_enum(facts, &scope, one);
    }
}

fn add_enum(facts: &mut Facts, scope: &str, one: &EnumDescriptorProto) {
    let scope = snake(&format!("{scope}.{}", one.name()));
    facts.extend(one.value.iter().map(|value| format!("{scope}.{} = {}", value.name(), value.number())));
}

/// Label, oneof and type of a field.
fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    if let Some(entry) = map_entry(message, field) {
        return format!("map<{}, {}>", kind(entry, &entry.field[0]), kind(entry, &entry.field[1]));
    }
    let kind = match field.r#type() {
        Type::Message => format!("message {}", type_name(field.type_name())),
        Type::Enum => format!("enum {}", type_name(field.type_name())),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let label = match field.label() {
        Label::Repeated => "repeated ".to_owned(),
        _ if field.proto3_optional() && field.r#type() != Type::Message => "optional ".to_owned(),
        _ if field.oneof_index.is_some() && !field.proto3_optional() => {
            format!("oneof {} ", message.oneof_decl[field.oneof_index() as usize].name())
        }
        _ => String::new(),
    };
    format!("{label}{kind}")
}

fn map_entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    message.nested_type.iter().find(|nested| nested.name() == name && is_map_entry(nested))
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry)
}

fn type_name(name: &str) -> String {
    snake(name.trim_start_matches('.'))
}
