//! Line charts with logarithmic axes, as SVG.

use std::{ops::Range, path::Path};

use plotters::prelude::*;

use crate::fail;

const SIZE: (u32, u32) = (640, 360);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 160), RGBColor(200, 80, 0), RGBColor(0, 130, 80), RGBColor(140, 60, 140)];

/// A line and what it is called.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// Draws lines into a file.
pub fn draw(path: &Path, [title, horizontal, vertical]: [&str; 3], lines: &[Line]) {
    if let Err(error) = try_to_draw(path, [title, horizontal, vertical], lines) {
        fail(&format!("cannot draw {}: {error}", path.display()));
    }
}

fn try_to_draw(
    path: &Path,
    [title, horizontal, vertical]: [&str; 3],
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (x, y) = (decades(points().map(|point| point.0)), decades(points().map(|point| point.1)));
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(horizontal)
        .y_desc(vertical)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .light_line_style(WHITE)
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).position(SeriesLabelPosition::LowerRight).draw()?;
    Ok(area.present()?)
}

/// A value without the last digits of its binary form.
fn label(value: &f64) -> String {
    ((value * 1e4).round() / 1e4).to_string()
}

/// The decades around positive values.
fn decades(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::MIN_POSITIVE, f64::max);
    // A little more, so that the ends have labels.
    0.999 * 10f64.powf(least.log10().floor())..1.001 * 10f64.powf(most.log10().ceil())
}
