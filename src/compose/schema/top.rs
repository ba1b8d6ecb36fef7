//! The top level of a file.

use super::build::MODEL;
use super::service::SERVICE;
use super::{Object, Shape, embedded, field, object};

/// A whole project.
pub(crate) static PROJECT: Object = object(&[
    field("version", Shape::Text),
    field("name", Shape::Text),
    field("include", Shape::Items(&Shape::ShortOr(&INCLUDE))),
    field("services", Shape::Named(&Shape::Object(&SERVICE))),
    field("networks", Shape::Named(&Shape::ObjectOrNull(&NETWORK))),
    field("volumes", Shape::Named(&Shape::ObjectOrNull(&VOLUME))),
    field("secrets", Shape::Named(&Shape::Object(&SECRET))),
    field("configs", Shape::Named(&Shape::Object(&CONFIG))),
    field("models", Shape::Named(&Shape::Object(&MODEL))),
]);

/// One entry of `include`.
pub(crate) static INCLUDE_SHAPE: &Shape = &Shape::ShortOr(&INCLUDE);

static INCLUDE: Object = object(&[
    field("path", Shape::TextOrTexts),
    field("env_file", Shape::TextOrTexts),
    field("project_directory", Shape::Text),
])
.closed();

static NETWORK: Object = object(&[
    field("name", Shape::Text),
    field("driver", Shape::Text),
    field("driver_opts", Shape::Options),
    embedded("ipam", Shape::Object(&IPAM)),
    field("external", Shape::External),
    field("internal", Shape::Flag),
    field("attachable", Shape::Flag),
    field("labels", Shape::Labels),
    field("enable_ipv4", Shape::ThreeWay),
    field("enable_ipv6", Shape::ThreeWay),
]);

static IPAM: Object = object(&[
    field("driver", Shape::Text),
    field("config", Shape::Items(&Shape::Object(&POOL))),
    field("options", Shape::Dropped),
]);

static POOL: Object = object(&[
    field("subnet", Shape::Text),
    field("gateway", Shape::Text),
    field("ip_range", Shape::Text),
    field("aux_addresses", Shape::Options),
]);

static VOLUME: Object = object(&[
    field("name", Shape::Text),
    field("driver", Shape::Text),
    field("driver_opts", Shape::Options),
    field("external", Shape::External),
    field("labels", Shape::Labels),
]);

static SECRET: Object = object(&[
    field("name", Shape::Text),
    field("file", Shape::Text),
    field("environment", Shape::Text),
    field("external", Shape::External),
    field("labels", Shape::Labels),
    field("driver", Shape::Text),
    field("driver_opts", Shape::Options),
    field("template_driver", Shape::Text),
]);

static CONFIG: Object = object(&[
    field("name", Shape::Text),
    field("file", Shape::Text),
    field("environment", Shape::Text),
    field("content", Shape::Text),
    field("external", Shape::External),
    field("labels", Shape::Labels),
    field("template_driver", Shape::Text),
]);
