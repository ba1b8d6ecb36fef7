//! The Compose Specification as data: every attribute with its shape.
//!
//! One table drives three passes: [`check`](check::check) says what does not fit, with its place;
//! [`finish`](super::finish) turns each value into its last form; [`emit`](super::emit) prints the
//! attributes in the order of docker compose. The files below hold the table, one object each.

mod build;
pub(crate) mod check;
mod deploy;
mod parts;
mod service;
mod top;

pub(crate) use service::SERVICE;
pub(crate) use top::{INCLUDE_SHAPE, PROJECT};

/// An object: its attributes in the order in which they are printed.
#[derive(Debug)]
pub(crate) struct Object {
    /// The attributes.
    pub(crate) fields: &'static [Field],
    /// Attributes that must be there.
    pub(crate) required: &'static [&'static str],
    /// Whether `x-…` may stand here.
    pub(crate) extensions: bool,
    /// Whether the JSON form has a capital at the start of each name.
    pub(crate) capitals: bool,
}

/// An attribute.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it may hold.
    pub(crate) shape: Shape,
    /// What is printed when there is nothing to print.
    pub(crate) absent: Absent,
}

/// What the JSON form has in the place of an attribute that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// No such key.
    Nothing,
    /// `null`.
    Null,
    /// `{}`.
    Object,
    /// A hook without a command.
    Hook,
}

/// What an attribute may hold, and what becomes of it.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text.
    Text,
    /// Text, or nothing.
    TextOrNull,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Text that a function accepts; else its message.
    Checked(fn(&str) -> Option<&'static str>),
    /// Yes or no; no is the same as nothing.
    Flag,
    /// Yes or no; not set is a third case.
    ThreeWay,
    /// Yes or no, and nothing else: no text.
    StrictFlag,
    /// As [`StrictFlag`](Self::StrictFlag), printed even when it is no.
    RequiredFlag,
    /// A whole number, or text with one.
    Int(Range),
    /// A whole number for which zero and nothing differ.
    OptionalInt(Range),
    /// A number.
    Float,
    /// Bytes, with a unit.
    Bytes,
    /// Bytes that as a number must not be negative.
    Size,
    /// Bytes as text only.
    ByteText,
    /// A span of time; zero is nothing.
    Duration,
    /// A span of time for which zero and nothing differ.
    OptionalDuration,
    /// A command: words, or a line to split.
    Words,
    /// `healthcheck.test`.
    Test,
    /// `mode` of a config or secret.
    FileMode,
    /// Texts.
    Texts,
    /// Texts, none twice.
    UniqueTexts,
    /// One text, or several.
    TextOrTexts,
    /// One text, or several, none twice.
    TextOrUniqueTexts,
    /// Numbers or texts, none twice.
    Numbers,
    /// Variables: a mapping or `KEY=VALUE` lines; no value is a value of its own.
    Variables,
    /// Labels and the like: a mapping or `KEY=VALUE` lines; no value is empty.
    Labels,
    /// A mapping to text or numbers.
    Options,
    /// As `Options`, where a value may be missing.
    LooseOptions,
    /// A mapping to text or numbers, or lists of them.
    MultiOptions,
    /// `extra_hosts`.
    Hosts,
    /// An object.
    Object(&'static Object),
    /// An object, or nothing.
    ObjectOrNull(&'static Object),
    /// A list.
    Items(&'static Self),
    /// A list, none twice.
    UniqueItems(&'static Self),
    /// A mapping with names of one's own.
    Named(&'static Self),
    /// A list of names that stands for a mapping, or the mapping.
    NamesOr(&'static Self),
    /// Text that stands for an object, or the object.
    ShortOr(&'static Object),
    /// A number or text that stands for an object, or the object.
    NumberShortOr(&'static Object),
    /// Text that stands for a list, or the list.
    TextOr(&'static Self),
    /// A word that stands for a list, or the list.
    WordOr(&'static str, &'static Self),
    /// A number of processes or files, or soft and hard.
    Ulimit,
    /// `external`: yes or no, or the old form with a name.
    External,
    /// Text or a whole number, kept as text.
    NumberText,
    /// Text or a boolean, kept as text.
    TextOrFlag,
    /// `count` of devices: a number or `all`.
    Count,
    /// `build.ssh`.
    Ssh,
    /// Options that are read and then forgotten, as docker compose does.
    Dropped,
    /// Text that is read and then forgotten.
    DroppedText,
    /// A whole number, and no text.
    StrictInt,
    /// A whole number that is not negative; text is refused when all variables are known.
    PlainInt,
}

/// The least and the most that a number may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    /// At least this.
    pub(crate) least: i64,
    /// At most this.
    pub(crate) most: i64,
}

/// Any whole number.
pub(crate) const ANY: Range = Range { least: i64::MIN, most: i64::MAX };
/// Zero or more.
pub(crate) const NATURAL: Range = Range { least: 0, most: i64::MAX };

/// A closed range.
pub(crate) const fn range(least: i64, most: i64) -> Range {
    Range { least, most }
}

/// An attribute that is not printed when it is not set.
pub(crate) const fn field(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Nothing }
}

/// An attribute that is printed as `null` when it is not set.
pub(crate) const fn nullable(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Null }
}

/// An attribute that is printed as `{}` when it is not set.
pub(crate) const fn embedded(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Object }
}

/// An object that takes `x-…`.
pub(crate) const fn object(fields: &'static [Field]) -> Object {
    Object { fields, required: &[], extensions: true, capitals: false }
}

impl Object {
    /// With attributes that must be there.
    pub(crate) const fn requires(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    /// Without `x-…`.
    pub(crate) const fn closed(self) -> Self {
        Self { extensions: false, ..self }
    }

    /// With capitals in the JSON form.
    pub(crate) const fn capitals(self) -> Self {
        Self { capitals: true, ..self }
    }

    /// The attribute of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
