//! `#[function]`: a Rust function becomes a function of the language. `#[derive(Options)]`: a struct becomes a group of
//! parameters that several functions take.
//!
//! The doc comment is the documentation, the doc comment on each parameter or field documents that parameter, and one
//! registration feeds argument checking, completion, help and the manual.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{
    Attribute, Data, DeriveInput, Expr, ExprRange, Fields, FnArg, ItemFn, Lit, LitStr, Meta, Pat, RangeLimits, Type,
    UnOp,
};

/// Registers a function as a function of the language.
///
/// - `#[function]` takes the function's own name; `#[function(name = "…")]` gives another one.
/// - `#[function(source = "…")]` names the paper or the reference implementation.
/// - A first parameter of type `&Job` or `&Context<'_>` receives the call's job or context.
/// - A parameter with `#[default(literal)]` is a keyword argument, whose default is converted as an argument is;
///   `#[default]` alone means `Default::default()`, shown as "optional". The others are positional, in order.
/// - `#[options]`: the parameter is a group of keyword arguments, a struct with `#[derive(Options)]`. A parameter that stands
///   before a group takes the place of the group's parameter of that name; `#[options(without(seed, resume))]` leaves out
///   some, which keep their defaults.
/// - `#[leading]`: a keyword argument that may also stand first, as `m` in `m.classify(img)`.
/// - `#[each]`: a list of such values is taken too; the function runs for each of them, and the results make a list.
/// - `#[range(low..=high)]` bounds a number (both ends optional).
/// - `#[complete(function)]` says which texts could be meant (a `Completer`), where the type does not know.
/// - `#[function(property)]`: a method without further arguments may be written without
///   parentheses, as `value.name`.
///
/// Parameters may be references. The function returns `Result<T>` with `T: IntoValue`.
#[proc_macro_attribute]
pub fn function(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let function = syn::parse_macro_input!(item as ItemFn);
    expand(attribute.into(), function).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a struct a group of keyword arguments: each field has a doc comment and `#[default…]`, and may have the other
/// attributes of a parameter. `Default` gives the documented defaults.
#[proc_macro_derive(Options, attributes(default, range, complete, leading, each))]
pub fn options_group(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as DeriveInput);
    expand_options(&item).unwrap_or_else(|error| error.to_compile_error()).into()
}

#[derive(Default)]
struct Attributes {
    name: Option<String>,
    source: Option<String>,
    property: bool,
}

fn expand(attribute: Tokens, mut function: ItemFn) -> syn::Result<Tokens> {
    let attributes = attributes(attribute)?;
    let ident = function.sig.ident.clone();
    let name = attributes.name.unwrap_or_else(|| ident.to_string());
    let property = attributes.property;
    let source = optional(attributes.source);
    let doc = doc(&function.attrs);

    let mut own = Vec::new();
    let mut groups = Vec::new();
    let mut without = Vec::new();
    let mut bindings = Vec::new();
    let mut passed = Vec::new();
    for input in &mut function.sig.inputs {
        let FnArg::Typed(argument) = input else {
            return Err(syn::Error::new_spanned(input, "a function of the language takes no self"));
        };
        let (ty, reference) = match &*argument.ty {
            Type::Reference(reference) => ((*reference.elem).clone(), quote!(&)),
            ty => (ty.clone(), quote!()),
        };
        if ["Job", "Context"].iter().any(|name| is_type(&ty, name)) {
            passed.push(quote!(cx));
            continue;
        }
        let Pat::Ident(pattern) = &*argument.pat else {
            return Err(syn::Error::new_spanned(&argument.pat, "a parameter needs a name"));
        };
        let ident = pattern.ident.clone();
        passed.push(quote!(#reference #ident));
        if let Some(index) = argument.attrs.iter().position(|attribute| attribute.path().is_ident("options")) {
            without.extend(left_out(&argument.attrs.remove(index))?);
            groups.push(quote!(<#ty as crate::lang::Options>::PARAMETERS));
            bindings.push(quote!(let #ident = <#ty as crate::lang::Options>::take(arguments)?;));
            continue;
        }
        let parameter = Parameter::read(&ident, &ty, &argument.attrs)?;
        argument.attrs.clear();
        own.push(parameter.metadata());
        bindings.push(parameter.binding());
    }

    let syn::ReturnType::Type(_, returned) = &function.sig.output else {
        return Err(syn::Error::new_spanned(&function.sig, "a function of the language returns Result<T>"));
    };
    Ok(quote! {
        #[allow(clippy::too_many_arguments, reason = "a script names them")]
        #function

        ::inventory::submit! {
            crate::lang::Function {
                name: #name,
                doc: #doc,
                source: #source,
                module: module_path!(),
                property: #property,
                groups: &[&[#(#own),*], #(#groups),*],
                without: &[#(#without),*],
                returns: <#returned as crate::lang::Returned>::NAME,
                call: |cx, arguments| {
                    let _ = (&cx, &arguments);
                    // a parameter may have the function's name
                    let function_itself = #ident;
                    #(#bindings)*
                    crate::lang::Returned::into_dynamic(function_itself(#(#passed),*))
                },
            }
        }
    })
}

fn expand_options(item: &DeriveInput) -> syn::Result<Tokens> {
    let Data::Struct(data) = &item.data else {
        return Err(syn::Error::new_spanned(item, "a group of options is a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(item, "the fields of a group of options have names"));
    };
    let mut parameters = Vec::new();
    for field in &fields.named {
        let Some(ident) = &field.ident else { continue };
        let parameter = Parameter::read(ident, &field.ty, &field.attrs)?;
        if parameter.default.is_none() {
            return Err(syn::Error::new_spanned(field, "an option has a default"));
        }
        parameters.push(parameter);
    }
    let ident = &item.ident;
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.ident).collect();
    let metadata = parameters.iter().map(Parameter::metadata);
    let bindings = parameters.iter().map(Parameter::binding);
    let defaults = parameters.iter().map(Parameter::default_value);
    Ok(quote! {
        impl crate::lang::Options for #ident {
            const PARAMETERS: &'static [crate::lang::Parameter] = &[#(#metadata),*];
            fn take(arguments: &crate::lang::Arguments<'_>) -> crate::error::Result<Self> {
                #(#bindings)*
                Ok(Self { #(#names),* })
            }
        }

        impl Default for #ident {
            fn default() -> Self {
                Self { #(#names: #defaults),* }
            }
        }
    })
}

/// The names in `#[options(without(…))]`.
fn left_out(attribute: &Attribute) -> syn::Result<Vec<String>> {
    let mut names = Vec::new();
    if matches!(attribute.meta, Meta::Path(_)) {
        return Ok(names);
    }
    attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("without") {
            return Err(meta.error("expected `without(…)`"));
        }
        meta.parse_nested_meta(|name| {
            names.push(name.path.require_ident()?.to_string());
            Ok(())
        })
    })?;
    Ok(names)
}

fn is_type(ty: &Type, name: &str) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == name)
}

fn optional(text: Option<String>) -> Tokens {
    text.map_or_else(|| quote!(None), |text| quote!(Some(#text)))
}

fn attributes(attribute: Tokens) -> syn::Result<Attributes> {
    let mut attributes = Attributes::default();
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("name") {
            attributes.name = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else if meta.path.is_ident("source") {
            attributes.source = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else if meta.path.is_ident("property") {
            attributes.property = true;
            Ok(())
        } else {
            Err(meta.error("expected `name = \"…\"`, `source = \"…\"` or `property`"))
        }
    });
    syn::parse::Parser::parse2(parser, attribute)?;
    Ok(attributes)
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
    leading: bool,
    each: bool,
}

enum DefaultValue {
    Expression(Box<Expr>),
    Optional,
}

impl Parameter {
    fn read(ident: &syn::Ident, ty: &Type, attributes: &[Attribute]) -> syn::Result<Self> {
        let mut parameter = Self {
            ident: ident.clone(),
            name: ident.to_string().trim_start_matches("r#").to_owned(),
            ty: ty.clone(),
            doc: doc(attributes),
            default: None,
            low: quote!(None),
            high: quote!(None),
            complete: quote!(<#ty as crate::lang::FromValue>::COMPLETE),
            leading: false,
            each: false,
        };
        if parameter.doc.is_empty() {
            return Err(syn::Error::new_spanned(ident, "document this parameter with a doc comment"));
        }
        for attribute in attributes {
            if attribute.path().is_ident("default") {
                parameter.default = Some(match &attribute.meta {
                    Meta::Path(_) => DefaultValue::Optional,
                    Meta::List(list) => DefaultValue::Expression(Box::new(list.parse_args()?)),
                    Meta::NameValue(value) => return Err(syn::Error::new_spanned(value, "write #[default(…)]")),
                });
            } else if attribute.path().is_ident("leading") {
                parameter.leading = true;
            } else if attribute.path().is_ident("each") {
                parameter.each = true;
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
        let Self { name, ty, doc, low, high, complete, leading, each, .. } = self;
        let default = match &self.default {
            None => quote!(None),
            Some(DefaultValue::Optional) => quote!(Some("optional")),
            Some(DefaultValue::Expression(expression)) => {
                let text = literal_text(expression);
                quote!(Some(#text))
            }
        };
        let default_converts = match &self.default {
            Some(DefaultValue::Expression(expression)) => {
                let literal = literal(expression);
                quote!(<#ty as crate::lang::FromValue>::from_value(&crate::lang::IntoValue::into_value(#literal)).is_ok())
            }
            _ => quote!(true),
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
                leading: #leading,
                each: #each,
                low: #low,
                high: #high,
                accepts: |value| {
                    !matches!(
                        <#ty as crate::lang::FromValue>::from_value(value),
                        Err(crate::lang::Reject::Type)
                    )
                },
                default_converts: || #default_converts,
            }
        }
    }

    fn binding(&self) -> Tokens {
        let Self { ident, name, ty, .. } = self;
        if self.default.is_none() {
            return quote!(let #ident: #ty = arguments.required(#name)?;);
        }
        let default = self.default_value();
        quote! {
            let #ident: #ty = match arguments.get(#name)? {
                Some(value) => value,
                None => #default,
            };
        }
    }

    /// The default, converted as an argument is.
    fn default_value(&self) -> Tokens {
        match &self.default {
            Some(DefaultValue::Expression(expression)) => {
                let (name, literal) = (&self.name, literal(expression));
                quote!(crate::lang::default_value(#name, #literal))
            }
            _ => quote!(Default::default()),
        }
    }
}

/// A default as a value that the language has: its integers are `i64`.
fn literal(expression: &Expr) -> Tokens {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) if number.suffix().is_empty() => {
                let number = syn::LitInt::new(&format!("{}i64", number.base10_digits()), number.span());
                quote!(#number)
            }
            other => quote!(#other),
        },
        Expr::Unary(unary) => {
            let inner = literal(&unary.expr);
            quote!(-#inner)
        }
        Expr::Array(array) => {
            let items = array.elems.iter().map(literal);
            quote!([#(#items),*])
        }
        other => quote!(#other),
    }
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
        Expr::Array(array) => {
            format!("[{}]", array.elems.iter().map(literal_text).collect::<Vec<_>>().join(", "))
        }
        other => quote!(#other).to_string().replace(' ', ""),
    }
}

fn bound(expression: Option<&Expr>) -> syn::Result<Tokens> {
    Ok(match expression {
        None => quote!(None),
        Some(expression) => quote!(Some((#expression) as f64)),
    })
}
