//! Perf maps: a line of text for each piece of code, `START SIZE NAME`, both numbers hexadecimal
//! (`tools/perf/Documentation/jit-interface.txt` of Linux). Java writes `0x` before them.

use super::{MAX_NAME_BYTES, Parsed, is_plausible};

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where the code begins.
    pub start: u64,
    /// Its size, bytes.
    pub bytes: u32,
    /// What it is called, the first [`MAX_NAME_BYTES`] of it.
    pub name: &'a [u8],
}

/// Reads the whole lines of a piece of a file that begins with one; `visit` is given where in it each begins. What has
/// no newline is not whole: it may still be written.
pub fn read<'a>(piece: &'a [u8], mut visit: impl FnMut(usize, Line<'a>)) -> Parsed {
    let mut parsed = Parsed::default();
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\n', &piece[at..]) {
        let text = &piece[at..at + length];
        match line(text) {
            Some(line) if line.bytes > 0 => visit(at, line),
            // It says that nothing is there.
            Some(_) => {}
            None if text.trim_ascii().is_empty() => {}
            None => parsed.unusable += 1,
        }
        at += length + 1;
    }
    parsed.consumed = at as u64;
    parsed
}

/// Reads one line, without its newline.
#[must_use]
pub fn line(text: &[u8]) -> Option<Line<'_>> {
    let (start, rest) = number(text)?;
    let (bytes, rest) = number(rest.strip_prefix(b" ")?)?;
    let name = rest.strip_prefix(b" ")?.trim_ascii();
    if name.is_empty() || !is_plausible(start, bytes) {
        return None;
    }
    Some(Line {
        start,
        bytes: u32::try_from(bytes).ok()?,
        name: &name[..name.len().min(MAX_NAME_BYTES)],
    })
}

/// The hexadecimal number at the beginning of a text, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = text.split_at(digits);
    let number = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(piece: &[u8]) -> (Vec<(usize, u64, u32, String)>, Parsed) {
        let mut lines = Vec::new();
        let parsed = read(piece, |at, line| {
            lines.push((
                at,
                line.start,
                line.bytes,
                String::from_utf8_lossy(line.name).into_owned(),
            ));
        });
        (lines, parsed)
    }

    #[test]
    fn lines_of_node_java_and_python_are_read() {
        let text = b"7fd278007e40 338 JS:*burn /srv/s.js:2:14\n\
            0x00007f5fbebea120 0x0000000000000098 void Server.burn(int)\n\
            7fdbcdec17bc b py::spin:/srv/spin.py\n";
        let (lines, parsed) = all(text);
        let lines: Vec<_> = lines
            .iter()
            .map(|(_, start, bytes, name)| (*start, *bytes, name.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (0x7fd2_7800_7e40, 0x338, "JS:*burn /srv/s.js:2:14"),
                (0x7f5f_bebe_a120, 0x98, "void Server.burn(int)"),
                (0x7fdb_cdec_17bc, 0xb, "py::spin:/srv/spin.py"),
            ]
        );
        assert_eq!((parsed.consumed, parsed.unusable), (text.len() as u64, 0));
    }

    #[test]
    fn what_is_no_line_is_counted_and_passed_by() {
        let text = b"garbage\n10 10\n10 10 \n \n\n10 0 nothing\nfffffffffffffff0 20 over the end\n\
            0 ffffffffffffffff all\n11111111111111111 1 long\n-1 1 x\n\xff\xfe\n20 8 f\xff\n";
        let (lines, parsed) = all(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((lines[0].1, lines[0].3.as_str()), (0x20, "f\u{fffd}"));
        assert_eq!(parsed.unusable, 8);
    }

    #[test]
    fn a_line_that_is_still_written_is_left_for_later() {
        let (lines, parsed) = all(b"10 8 a\n20 8 fun");
        assert_eq!((lines.len(), parsed.consumed), (1, 7));
        assert_eq!(all(b"10 8 a").1, Parsed::default());
    }
}
