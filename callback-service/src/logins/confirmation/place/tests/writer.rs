//! Writes a small file in MaxMind's format: <https://maxmind.github.io/MaxMind-DB/>. A search tree of nodes with two records
//! of 24 bits, sixteen zeros, the data, and behind a mark the metadata.

use std::net::IpAddr;

use ipnet::IpNet;

const BEFORE_METADATA: &[u8] = b"\xab\xcd\xefMaxMind.com";
const BEFORE_DATA: usize = 16;

/// A value of the data section.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(&'static str),
    /// Of the type of this number: 5, 6 and 9 have 16, 32 and 64 bits.
    Number(u8, u64),
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                head(2, text.len(), out);
                out.extend(text.as_bytes());
            }
            Self::Number(kind, number) => {
                let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
                head(*kind, bytes.len(), out);
                out.extend(bytes);
            }
            Self::List(values) => {
                head(11, values.len(), out);
                values.iter().for_each(|value| value.write(out));
            }
            Self::Map(fields) => {
                head(7, fields.len(), out);
                for (name, value) in fields {
                    Self::Text(name).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// A value's type and size. Types from 8 on stand in a byte of their own.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let size = u8::try_from(size).unwrap();
    assert!(size < 29, "a longer one would have bytes of its own for that");
    if kind < 8 { out.push(kind << 5 | size) } else { out.extend([size, kind - 7]) }
}

/// What a record of the tree leads to.
#[derive(Debug, Clone, Copy)]
enum Leads {
    Nowhere,
    ToNode(usize),
    ToData(usize),
}

/// A file of this kind and IP version with what it says of networks, of which none is in another.
pub(super) fn database(kind: &'static str, ip_version: u16, networks: &[(&str, Value)]) -> Vec<u8> {
    let (mut tree, mut data) = (vec![[Leads::Nowhere; 2]], Vec::new());
    for (network, value) in networks {
        let bits = bits(network.parse().unwrap(), ip_version);
        let (last, way) = bits.split_last().unwrap();
        let mut node = 0;
        for bit in way {
            node = match tree[node][usize::from(*bit)] {
                Leads::ToNode(next) => next,
                _ => {
                    tree.push([Leads::Nowhere; 2]);
                    tree[node][usize::from(*bit)] = Leads::ToNode(tree.len() - 1);
                    tree.len() - 1
                }
            };
        }
        tree[node][usize::from(*last)] = Leads::ToData(data.len());
        value.write(&mut data);
    }
    let mut file = Vec::new();
    for leads in tree.iter().flatten() {
        let number = match leads {
            Leads::Nowhere => tree.len(),
            Leads::ToNode(node) => *node,
            Leads::ToData(place) => tree.len() + BEFORE_DATA + place,
        };
        file.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; BEFORE_DATA]);
    file.extend(data);
    file.extend(BEFORE_METADATA);
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Number(5, 2)),
        ("binary_format_minor_version", Value::Number(5, 0)),
        ("build_epoch", Value::Number(9, 1_790_000_000)),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(vec![("en", Value::Text("a test's"))])),
        ("ip_version", Value::Number(5, ip_version.into())),
        ("languages", Value::List(vec![Value::Text("en"), Value::Text("zh-CN")])),
        ("node_count", Value::Number(6, tree.len() as u64)),
        ("record_size", Value::Number(5, 24)),
    ]);
    metadata.write(&mut file);
    file
}

/// The way through the tree. In a tree of IPv6, IPv4 stands under ::/96.
fn bits(network: IpNet, ip_version: u16) -> Vec<bool> {
    let (address, length, before) = match network.network() {
        IpAddr::V4(address) => {
            (u128::from(u32::from(address)) << 96, network.prefix_len(), if ip_version == 6 { 96 } else { 0 })
        }
        IpAddr::V6(address) => (u128::from(address), network.prefix_len(), 0),
    };
    let own = (0..length).map(|place| address >> (127 - place) & 1 == 1);
    std::iter::repeat_n(false, before).chain(own).collect()
}
