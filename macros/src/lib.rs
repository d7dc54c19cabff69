//! The `#[builtin]` attribute: a Rust function becomes a word of the language.
//!
//! The function's doc comment is its documentation, the doc comment on each parameter documents
//! that parameter, and one registration feeds argument checking, completion, help and the manual.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Attribute, Expr, ExprRange, FnArg, ItemFn, Lit, LitStr, Meta, Pat, RangeLimits, Type, UnOp};

/// Registers a function as a word of the language.
///
/// - `#[builtin]` takes the function's own name; `#[builtin(name = "…")]` gives another one.
/// - A first parameter of type `&Cx<'_>` receives the call's context.
/// - A parameter with `#[default(expr)]` is a keyword argument; `#[default]` alone means
///   `Default::default()`, shown as "optional". The others are positional, in order.
/// - `#[range(low..=high)]` bounds a number (both ends optional).
/// - `#[complete(function)]` says which texts could be meant (a `Completer`), where the type does not know.
/// - `#[builtin(property)]`: a method without further arguments may be written without
///   parentheses, as `value.name`.
///
/// The function returns `Result<T>` with `T: IntoValue`.
#[proc_macro_attribute]
pub fn builtin(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = syn::parse_macro_input!(item as ItemFn);
    expand(attribute.into(), function).unwrap_or_else(|error| error.to_compile_error()).into()
}

#[derive(Default)]
struct Options {
    name: Option<String>,
    property: bool,
}

fn expand(attribute: Tokens, mut function: ItemFn) -> syn::Result<Tokens> {
    let options = options(attribute)?;
    let ident = function.sig.ident.clone();
    let name = options.name.unwrap_or_else(|| ident.to_string());
    let property = options.property;
    let doc = doc(&function.attrs);

    let mut context = quote!();
    let mut parameters = Vec::new();
    let mut bindings = Vec::new();
    let mut arguments = Vec::new();
    for input in &mut function.sig.inputs {
        let FnArg::Typed(argument) = input else {
            return Err(syn::Error::new_spanned(input, "a builtin takes no self"));
        };
        if let Type::Reference(_) = &*argument.ty {
            context = quote!(cx,);
            continue;
        }
        let Pat::Ident(pattern) = &*argument.pat else {
            return Err(syn::Error::new_spanned(&argument.pat, "a parameter needs a name"));
        };
        let parameter = Parameter::take(&pattern.ident, &argument.ty, &mut argument.attrs)?;
        parameters.push(parameter.metadata());
        bindings.push(parameter.binding());
        arguments.push(pattern.ident.clone());
    }

    let syn::ReturnType::Type(_, returned) = &function.sig.output else {
        return Err(syn::Error::new_spanned(&function.sig, "a builtin returns Result<T>"));
    };
    Ok(quote! {
        #[allow(clippy::too_many_arguments, reason = "a script names them")]
        #function

        ::inventory::submit! {
            crate::lang::Builtin {
                name: #name,
                doc: #doc,
                module: module_path!(),
                property: #property,
                parameters: &[#(#parameters),*],
                returns: <#returned as crate::lang::Returned>::NAME,
                call: |cx, arguments| {
                    let _ = (&cx, &arguments);
                    #(#bindings)*
                    crate::lang::Returned::into_dynamic(#ident(#context #(#arguments),*))
                },
            }
        }
    })
}

fn options(attribute: Tokens) -> syn::Result<Options> {
    let mut options = Options::default();
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("name") {
            options.name = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else if meta.path.is_ident("property") {
            options.property = true;
            Ok(())
        } else {
            Err(meta.error("expected `name = \"…\"` or `property`"))
        }
    });
    syn::parse::Parser::parse2(parser, attribute)?;
    Ok(options)
}

struct Parameter {
    ident: syn::Ident,
    name: String,
    ty: Type,
    doc: String,
    default: Option<DefaultValue>,
    low: Tokens,
    high: Tokens,
    complete: Tokens,
}

enum DefaultValue {
    Expression(Box<Expr>),
    Optional,
}

impl Parameter {
    /// Reads and removes the attributes that rustc does not know.
    fn take(ident: &syn::Ident, ty: &Type, attributes: &mut Vec<Attribute>) -> syn::Result<Self> {
        let mut parameter = Self {
            ident: ident.clone(),
            name: ident.to_string().trim_start_matches("r#").to_owned(),
            ty: ty.clone(),
            doc: doc(attributes),
            default: None,
            low: quote!(None),
            high: quote!(None),
            complete: quote!(<#ty as crate::lang::FromValue>::COMPLETE),
        };
        if parameter.doc.is_empty() {
            return Err(syn::Error::new_spanned(ident, "document this parameter with a doc comment"));
        }
        for attribute in attributes.drain(..) {
            if attribute.path().is_ident("default") {
                parameter.default = Some(match &attribute.meta {
                    Meta::Path(_) => DefaultValue::Optional,
                    Meta::List(list) => DefaultValue::Expression(Box::new(list.parse_args()?)),
                    Meta::NameValue(value) => return Err(syn::Error::new_spanned(value, "write #[default(…)]")),
                });
            } else if attribute.path().is_ident("complete") {
                let completer: Expr = attribute.parse_args()?;
                parameter.complete = quote!(Some(#completer));
            } else if attribute.path().is_ident("range") {
                let range: ExprRange = attribute.parse_args()?;
                parameter.low = bound(range.start.as_deref())?;
                parameter.high = bound(range.end.as_deref())?;
                if range.end.is_some() && matches!(range.limits, RangeLimits::HalfOpen(_)) {
                    return Err(syn::Error::new_spanned(range, "use an inclusive range"));
                }
            }
        }
        Ok(parameter)
    }

    fn metadata(&self) -> Tokens {
        let Self { name, ty, doc, low, high, complete, .. } = self;
        let default = match &self.default {
            None => quote!(None),
            Some(DefaultValue::Optional) => quote!(Some("optional")),
            Some(DefaultValue::Expression(expression)) => {
                let text = literal_text(expression);
                quote!(Some(#text))
            }
        };
        quote! {
            crate::lang::Parameter {
                name: #name,
                doc: #doc,
                kind: <#ty as crate::lang::FromValue>::EXPECTED,
                types: <#ty as crate::lang::FromValue>::TYPES,
                choices: <#ty as crate::lang::FromValue>::CHOICES,
                complete: #complete,
                default: #default,
                low: #low,
                high: #high,
                accepts: |value| {
                    !matches!(
                        <#ty as crate::lang::FromValue>::from_value(value),
                        Err(crate::lang::Reject::Type)
                    )
                },
            }
        }
    }

    fn binding(&self) -> Tokens {
        let Self { ident, name, ty, .. } = self;
        match &self.default {
            None => quote!(let #ident: #ty = arguments.required(#name)?;),
            Some(DefaultValue::Optional) => {
                quote!(let #ident: #ty = arguments.optional(#name)?.unwrap_or_default();)
            }
            Some(DefaultValue::Expression(expression)) => {
                // a literal takes a number's own type; anything else is converted
                let value = if is_primitive(ty) { quote!(#expression) } else { quote!((#expression).into()) };
                quote! {
                let #ident: #ty = match arguments.optional(#name)? {
                    Some(value) => value,
                    None => #value,
                };
                }
            }
        }
    }
}

fn is_primitive(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    ["usize", "i64", "u64", "f64", "bool"].iter().any(|name| path.path.is_ident(name))
}

/// The doc comment as Markdown, without the space that follows `///`.
fn doc(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => {
                        let text = text.value();
                        Some(text.strip_prefix(' ').unwrap_or(&text).to_owned())
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .collect();
    lines.join("\n").trim().to_owned()
}

/// The default as a script would write it.
fn literal_text(expression: &Expr) -> String {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => format!("{:?}", text.value()),
            other => quote!(#other).to_string(),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => format!("-{}", literal_text(&unary.expr)),
        // `vec![0.5, 0.5]` is `[0.5, 0.5]` in a script
        Expr::Macro(list) => format!("[{}]", list.mac.tokens.to_string().replace(" ,", ",")),
        other => quote!(#other).to_string().replace(' ', ""),
    }
}

fn bound(expression: Option<&Expr>) -> syn::Result<Tokens> {
    Ok(match expression {
        None => quote!(None),
        Some(expression) => quote!(Some((#expression) as f64)),
    })
}
