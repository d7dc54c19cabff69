//! Colours in SVG: fixed, or variables of roles that the page decides.

use super::style::{Color, SERIES_COLORS, Theme};

/// A colour as a value of SVG: a number, or a role's variable where the page decides.
pub(super) fn color_value(color: Color, theme: Theme) -> String {
    match (theme, role(color)) {
        (Theme::Auto, Some(role)) => format!("var(--{role})"),
        _ => hex(color, theme),
    }
}

fn hex(color: Color, theme: Theme) -> String {
    let [red, green, blue] = theme.rgb(color);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// What the variable of a role is called.
fn role(color: Color) -> Option<String> {
    Some(match color {
        Color::Background => "background".into(),
        Color::Ink => "ink".into(),
        Color::Quiet => "quiet".into(),
        Color::Line => "line".into(),
        Color::Track => "track".into(),
        Color::Accent => "accent".into(),
        Color::AccentPale => "accent-pale".into(),
        Color::Series(index) => format!("series-{}", usize::from(index) % SERIES_COLORS),
        Color::Fixed(_) => return None,
    })
}

/// The variables of all roles, for light and for dark pages.
pub(super) fn roles() -> String {
    use Color::{Accent, AccentPale, Background, Ink, Line, Quiet, Track};
    let roles = [Background, Ink, Quiet, Line, Track, Accent, AccentPale].into_iter();
    let roles: Vec<Color> = roles.chain((0..SERIES_COLORS as u8).map(Color::Series)).collect();
    let variables = |theme: Theme| {
        let each = roles.iter().filter_map(|color| Some(format!("--{}:{};", role(*color)?, hex(*color, theme))));
        each.collect::<String>()
    };
    format!(
        "<style>svg{{{}}}@media(prefers-color-scheme:dark){{svg{{{}}}}}</style>",
        variables(Theme::Light),
        variables(Theme::Dark)
    )
}
