//! The kernel's types, read from its BTF (the kernel's `Documentation/bpf/btf.rst`): where the fields of its structures
//! are, and how many parameters its functions have.
//!
//! aya reads BTF too, but keeps the members of structures and the types of functions to itself.

use anyhow::{Context as _, Result};

/// `BTF_MAGIC` and `BTF_VERSION` of `include/uapi/linux/btf.h`, as the first word says them. Above them are flags.
const MAGIC: u32 = 0x0001_eb9f;

/// Typedefs and qualifiers that are followed to what they stand for, and unnamed structures inside of each other that
/// are looked into. The kernel has no more than a few.
const MAX_DEPTH: usize = 16;

/// What a type is: `BTF_KIND_*`, as far as it is asked for here.
mod kind {
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const TYPE_TAG: u32 = 18;
}

/// Words of a type, without what follows for its kind: name, information, and size or other type.
const TYPE_WORDS: usize = 3;

/// Words of a member: name, type, place.
const MEMBER_WORDS: usize = 3;

/// The types of a kernel.
#[derive(Debug)]
pub struct Types {
    words: Vec<u32>,
    /// Where each type begins in these. The first has the number 1.
    begins: Vec<usize>,
    strings: Vec<u8>,
}

/// One type.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    size_or_type: u32,
    /// What follows for its kind.
    rest: &'a [u32],
}

impl Type<'_> {
    fn kind(&self) -> u32 {
        kind_of(self.info)
    }
}

fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// How many words follow a type with this information. `None` is a kind that came after this was written.
fn words_after(info: u32) -> Option<usize> {
    let count = info as usize & 0xffff;
    Some(match kind_of(info) {
        // Integers, variables, and tags of declarations.
        1 | 14 | 17 => 1,
        // Arrays.
        3 => 3,
        // Sections of data and wide enumerations have three words for each entry too.
        kind::STRUCT | kind::UNION | 15 | 19 => MEMBER_WORDS * count,
        // Enumerations have two, as functions' types for each parameter.
        6 | kind::FUNC_PROTO => 2 * count,
        // Pointers, declarations without members, `restrict`, and floating-point numbers.
        2 | 7 | 11 | 16 => 0,
        kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::FUNC | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

impl Types {
    /// Reads types; `None` where they are damaged, or some are of a kind that is not known.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        // The header has its own length, and then of both sections where after it they begin, and their lengths.
        let section = |at: usize| {
            let begin = word(4)?.checked_add(word(at)?)? as usize;
            bytes.get(begin..)?.get(..word(at + 4)? as usize)
        };
        if word(0)? & 0x00ff_ffff != MAGIC {
            return None;
        }
        let (words, strings) = (section(8)?.as_chunks().0, section(16)?.to_vec());
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let mut begins = Vec::new();
        let mut next = 0;
        while next < words.len() {
            begins.push(next);
            next += TYPE_WORDS + words_after(*words.get(next + 1)?)?;
        }
        (next == words.len()).then_some(Self {
            words,
            begins,
            strings,
        })
    }

    /// Whether there is a function of this name.
    pub(super) fn has_function(&self, name: &str) -> bool {
        self.named(kind::FUNC, name).next().is_some()
    }

    /// How many parameters a function has; `None` where there is no such function.
    pub(super) fn parameters(&self, function: &str) -> Option<usize> {
        let function = self.named(kind::FUNC, function).next()?;
        let signature = self.numbered(function.size_or_type)?;
        (signature.kind() == kind::FUNC_PROTO).then_some(signature.rest.len() / 2)
    }

    /// Size of a structure, bytes.
    pub(super) fn size(&self, structure: &str) -> Result<u32> {
        Ok(self.structure(structure)?.size_or_type)
    }

    /// Offset of `path` (`member.member`) from the start of a structure, bits.
    pub(super) fn offset_bits(&self, structure: &str, path: &str) -> Result<u32> {
        let mut inside = self.structure(structure)?;
        let mut offset: u32 = 0;
        for name in path.split('.') {
            let (bits, of) = self
                .member(inside, name, MAX_DEPTH)
                .with_context(|| format!("this kernel's {structure} has no field {path}"))?;
            (offset, inside) = (offset.saturating_add(bits), of);
        }
        Ok(offset)
    }

    fn structure(&self, name: &str) -> Result<Type<'_>> {
        self.named(kind::STRUCT, name)
            .find(|found| !found.rest.is_empty())
            .with_context(|| format!("this kernel's BTF has no structure {name}"))
    }

    /// Bit offset and type of a member, also through unnamed structures and unions.
    fn member<'a>(&'a self, structure: Type<'a>, name: &str, depth: usize) -> Option<(u32, Type<'a>)> {
        if !matches!(structure.kind(), kind::STRUCT | kind::UNION) {
            return None;
        }
        // Where there are bit fields, the upper byte is how many bits a member has.
        let has_bit_fields = structure.info >> 31 == 1;
        let (members, _) = structure.rest.as_chunks::<MEMBER_WORDS>();
        members.iter().find_map(|&[called, of, place]| {
            let offset = if has_bit_fields {
                place & 0x00ff_ffff
            } else {
                place
            };
            if self.is_called(called, name) {
                return Some((offset, self.plain(of)?));
            }
            let depth = depth.checked_sub(1).filter(|_| self.is_called(called, ""))?;
            let (inner, found) = self.member(self.plain(of)?, name, depth)?;
            Some((offset.checked_add(inner)?, found))
        })
    }

    /// A type without typedefs and qualifiers.
    fn plain(&self, number: u32) -> Option<Type<'_>> {
        let mut found = self.numbered(number)?;
        for _ in 0..MAX_DEPTH {
            let (kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::TYPE_TAG) = found.kind() else {
                return Some(found);
            };
            found = self.numbered(found.size_or_type)?;
        }
        None
    }

    fn numbered(&self, number: u32) -> Option<Type<'_>> {
        let begin = *self.begins.get((number as usize).checked_sub(1)?)?;
        let (&[name, info, size_or_type], rest) = self.words.get(begin..)?.split_first_chunk()?;
        Some(Type {
            name,
            info,
            size_or_type,
            rest: rest.get(..words_after(info)?)?,
        })
    }

    /// Types of this kind and name. There is more than one where sources of the kernel differ in what they mean by it.
    fn named(&self, kind: u32, name: &str) -> impl Iterator<Item = Type<'_>> {
        (1..=self.begins.len() as u32)
            .filter_map(|number| self.numbered(number))
            .filter(move |found| found.kind() == kind && self.is_called(found.name, name))
    }

    /// Whether the text at this place in the table of strings is `name`.
    fn is_called(&self, place: u32, name: &str) -> bool {
        let text = self.strings.get(place as usize..);
        let rest = text.and_then(|text| text.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: u32 = 1;

    /// Types as they are made, with the numbers that they get.
    #[derive(Default)]
    struct Made {
        words: Vec<u32>,
        count: u32,
        strings: Vec<u8>,
    }

    impl Made {
        fn name(&mut self, name: &str) -> u32 {
            let place = self.strings.len() as u32;
            self.strings.extend(name.bytes().chain([0]));
            place
        }

        fn add(&mut self, name: &str, info: u32, size_or_type: u32, rest: &[u32]) -> u32 {
            let name = self.name(name);
            self.words.extend([name, info, size_or_type]);
            self.words.extend(rest);
            self.count += 1;
            self.count
        }

        fn plain(&mut self, kind: u32, name: &str, of: u32) -> u32 {
            self.add(name, kind << 24, of, &[])
        }

        /// Of members with a type and a place.
        fn structure(&mut self, kind: u32, name: &str, members: &[(&str, u32, u32)]) -> u32 {
            let words: Vec<u32> = members
                .iter()
                .flat_map(|&(name, of, place)| [self.name(name), of, place])
                .collect();
            self.add(name, kind << 24 | members.len() as u32, 64, &words)
        }

        fn bytes(&self) -> Vec<u8> {
            let types = self.words.len() as u32 * 4;
            let header = [MAGIC, 24, 0, types, types, self.strings.len() as u32];
            let words = header.iter().chain(&self.words);
            let mut bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
            bytes.extend(&self.strings);
            bytes
        }
    }

    fn made() -> Made {
        let mut made = Made::default();
        let int = made.add("int", INT << 24, 4, &[0]);
        let inner = made.structure(kind::STRUCT, "inner", &[("first", int, 0), ("second", int, 32)]);
        let renamed = made.plain(kind::TYPEDEF, "renamed_t", inner);
        let qualified = made.plain(kind::CONST, "", renamed);
        let unnamed = made.structure(kind::STRUCT, "", &[("low", int, 0), ("high", int, 32)]);
        let either = made.structure(kind::UNION, "", &[("whole", int, 0), ("", unnamed, 0)]);
        // One that is only declared comes first.
        made.structure(kind::STRUCT, "outer", &[]);
        made.structure(
            kind::STRUCT,
            "outer",
            &[("number", int, 0), ("", either, 64), ("inner", qualified, 128)],
        );
        let fields = made.structure(kind::STRUCT, "fields", &[("flag", int, 1 << 24 | 67)]);
        let last = made.words.len() - 2 - MEMBER_WORDS;
        made.words[last] |= 1 << 31;
        assert_eq!(fields, 9);
        let signature = made.add("", kind::FUNC_PROTO << 24 | 2, int, &[0, int, 0, int]);
        made.plain(kind::FUNC, "call", signature);
        made
    }

    fn offset(path: &str) -> Option<u32> {
        let types = Types::parse(&made().bytes()).unwrap();
        types.offset_bits("outer", path).ok()
    }

    #[test]
    fn a_field_is_found_in_structures_that_have_a_name_and_in_those_that_have_none() {
        assert_eq!(offset("number"), Some(0));
        assert_eq!(offset("whole"), Some(64));
        assert_eq!(offset("high"), Some(96));
        assert_eq!(
            offset("inner.second"),
            Some(160),
            "a typedef is what it stands for"
        );
    }

    #[test]
    fn what_there_is_not_is_not_found() {
        for path in ["hig", "highest", "inner.", "inner.third", "number.first", "first"] {
            assert_eq!(offset(path), None, "{path}");
        }
        let types = Types::parse(&made().bytes()).unwrap();
        assert!(
            types.offset_bits("renamed_t", "first").is_err(),
            "it is no structure"
        );
        assert!(types.size("call").is_err());
        assert_eq!(types.parameters("outer"), None);
    }

    #[test]
    fn the_place_of_a_bit_field_is_told_without_its_width() {
        let types = Types::parse(&made().bytes()).unwrap();
        assert_eq!(types.offset_bits("fields", "flag").unwrap(), 67);
    }

    #[test]
    fn a_function_has_its_parameters() {
        let types = Types::parse(&made().bytes()).unwrap();
        assert_eq!(types.parameters("call"), Some(2));
        assert!(types.has_function("call") && !types.has_function("outer"));
    }

    #[test]
    fn types_that_are_damaged_or_go_round_in_circles_are_no_types() {
        let whole = made().bytes();
        for length in 0..whole.len() {
            let _ = Types::parse(&whole[..length]);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            if let Some(types) = Types::parse(&damaged) {
                let _ = (
                    types.offset_bits("outer", "inner.second"),
                    types.parameters("call"),
                );
            }
        }
        let mut circle = Made::default();
        circle.structure(kind::STRUCT, "outer", &[("", 1, 0), ("next", 2, 0)]);
        circle.plain(kind::TYPEDEF, "again", 2);
        let types = Types::parse(&circle.bytes()).unwrap();
        assert!(types.offset_bits("outer", "high").is_err());
        assert!(types.offset_bits("outer", "next").is_err());
    }
}
