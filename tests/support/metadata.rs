//! EXIF and XMP as cameras write them.

#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};

pub fn xmp(attributes: &str) -> String {
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" \
         xmlns:d=\"http://maker/\" {attributes}/></rdf:RDF></x:xmpmeta>"
    )
}

pub fn text(tag: Tag, text: &str) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.as_bytes().to_vec()]) }
}

pub fn ratio(tag: Tag, values: &[f64]) -> Field {
    let of = |v: &f64| Rational { num: (v * 10_000.0).round() as u32, denom: 10_000 };
    Field { tag, ifd_num: In::PRIMARY, value: Value::Rational(values.iter().map(of).collect()) }
}

/// EXIF without a picture around it: a TIFF file.
pub fn tiff(fields: &[Field]) -> Vec<u8> {
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut tiff = Cursor::new(Vec::new());
    writer.write(&mut tiff, false).unwrap();
    tiff.into_inner()
}

/// A JPEG with EXIF and XMP in segments of its own.
pub fn with_metadata(jpeg: &[u8], fields: &[Field], packet: &str) -> Vec<u8> {
    let mut segments = Vec::new();
    let mut segment = |content: &[u8]| {
        segments.extend([0xff, 0xe1]);
        segments.extend((content.len() as u16 + 2).to_be_bytes());
        segments.extend(content);
    };
    if !fields.is_empty() {
        segment(&[b"Exif\0\0", tiff(fields).as_slice()].concat());
    }
    if !packet.is_empty() {
        segment(&[b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()].concat());
    }
    [&jpeg[..2], &segments, &jpeg[2..]].concat()
}
