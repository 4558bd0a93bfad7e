//! The inner product, compiled for several instruction sets.

use multiversion::multiversion;

/// Σ aᵢ·bᵢ over the shorter length. Sixteen partial sums, so that the compiler can use wide registers.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f", "aarch64+neon"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_chunks, a_rest) = a.as_chunks::<16>();
    let (b_chunks, b_rest) = b.as_chunks::<16>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..16 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Σ aᵢ·bᵢ over the shorter length. A product of two bytes fits 16 bits, and processors add these in pairs.
#[multiversion(targets("x86_64+avx2", "x86_64+avx512f+avx512bw", "aarch64+neon"))]
pub fn dot_bytes(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(x, y)| i32::from(i16::from(*x) * i16::from(*y))).sum()
}
