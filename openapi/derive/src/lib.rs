//! `#[derive(Parameters)]` for the requests of the wire: from a struct's fields come both how they are read and what the
//! document says of them. The type of a field decides both, so that it must be one that is read from a parameter.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Lit, PathArguments, Type,
};

/// Implements `crate::parameters::Parameters`. On the wire a field has its name in PascalCase. A field of the type
/// `Option<T>` may be omitted; one of the type `Deferred<T>` keeps the refusal of its text until the action asks for it.
///
/// `#[parameter(example = "ana", default = 10, name = "MFABindRequired")]` adds what the document shows; all three are
/// optional.
#[proc_macro_derive(Parameters, attributes(parameter))]
pub fn parameters(input: TokenStream) -> TokenStream {
    match expanded(&syn::parse_macro_input!(input as DeriveInput)) {
        Ok(tokens) => tokens.into(),
        Err(error) => error.into_compile_error().into(),
    }
}

fn expanded(input: &DeriveInput) -> Result<Tokens, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "parameters are the fields of a struct"));
    };
    let fields = match &data.fields {
        Fields::Named(fields) => fields.named.iter().map(Parsed::of).collect::<Result<Vec<_>, _>>()?,
        _ => return Err(Error::new_spanned(&input.ident, "parameters have names")),
    };
    let (name, about) = (&input.ident, documentation(&input.attrs));
    let rows = fields.iter().map(Parsed::row);
    let mandatory = fields.iter().filter(|field| !field.optional).map(|field| &field.wire_name);
    let reads = fields.iter().map(Parsed::reading);
    Ok(quote! {
        impl crate::parameters::Parameters for #name {
            const ABOUT: &'static str = #about;

            fn rows() -> ::std::vec::Vec<crate::parameters::Row> {
                ::std::vec![ #(#rows),* ]
            }

            fn read(
                given: &crate::parameters::Given<'_>,
            ) -> ::std::result::Result<Self, crate::error_codes::WireError> {
                given.require(&[ #(#mandatory),* ])?;
                ::std::result::Result::Ok(Self { #(#reads),* })
            }
        }
    })
}

/// A field, as its declaration says.
struct Parsed<'f> {
    field: &'f Field,
    wire_name: String,
    about: String,
    example: Option<Expr>,
    default: Option<Expr>,
    optional: bool,
    deferred: bool,
    /// What its text is read as.
    read_as: &'f Type,
}

impl<'f> Parsed<'f> {
    fn of(field: &'f Field) -> Result<Self, Error> {
        let ident =
            field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "a parameter has a name"))?;
        let (optional, inner) = inside(&field.ty, "Option");
        let (deferred, read_as) = inside(inner, "Deferred");
        let mut parsed = Self {
            field,
            wire_name: pascal_case(&ident.to_string()),
            about: documentation(&field.attrs),
            example: None,
            default: None,
            optional,
            deferred,
            read_as,
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("parameter")) {
            attribute.parse_nested_meta(|meta| {
                let value: Expr = meta.value()?.parse()?;
                match meta.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("example") => parsed.example = Some(value),
                    Some("default") => parsed.default = Some(value),
                    Some("name") => parsed.wire_name = text(&value)?,
                    _ => return Err(meta.error("example, default or name is expected")),
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }

    fn row(&self) -> Tokens {
        let Self { wire_name, about, read_as, optional, .. } = self;
        let mandatory = !optional;
        let [example, default] = [&self.example, &self.default].map(|value| match value {
            Some(value) => quote! { ::std::option::Option::Some(::serde_json::json!(#value)) },
            None => quote! { ::std::option::Option::None },
        });
        quote! {
            crate::parameters::Row {
                name: #wire_name,
                about: #about,
                mandatory: #mandatory,
                example: #example,
                default: #default,
                shape: <#read_as as ::domain::parameter::Parameter>::shape(),
                breaks: <#read_as as ::domain::parameter::Parameter>::BREAKS,
                check: <#read_as as ::domain::parameter::Parameter>::check,
            }
        }
    }

    fn reading(&self) -> Tokens {
        let Self { field, wire_name, read_as, .. } = self;
        let ident = &field.ident;
        match (self.optional, self.deferred) {
            (false, false) => quote! { #ident: given.mandatory::<#read_as>(#wire_name)? },
            (false, true) => quote! { #ident: given.mandatory::<#read_as>(#wire_name) },
            (true, false) => quote! { #ident: given.optional::<#read_as>(#wire_name).transpose()? },
            (true, true) => quote! { #ident: given.optional::<#read_as>(#wire_name) },
        }
    }
}

/// Whether a type is `Outer<Inner>`, and the inner one; else the type itself.
fn inside<'t>(whole: &'t Type, outer: &str) -> (bool, &'t Type) {
    let Type::Path(path) = whole else { return (false, whole) };
    let Some(last) = path.path.segments.last().filter(|last| last.ident == outer) else {
        return (false, whole);
    };
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => (true, inner),
            _ => (false, whole),
        },
        _ => (false, whole),
    }
}

/// A doc comment, line by line.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => text(&pair.value).ok(),
        _ => None,
    });
    lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
}

fn text(value: &Expr) -> Result<String, Error> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Ok(text.value()),
            _ => Err(Error::new_spanned(value, "a text is expected")),
        },
        _ => Err(Error::new_spanned(value, "a text is expected")),
    }
}

/// `page_size` is `PageSize` on the wire.
fn pascal_case(field: &str) -> String {
    field
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}
