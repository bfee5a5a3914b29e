//! How a structure that both halves know is declared.

/// Declares record structs with the derives that userspace needs and their asserted sizes.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident: $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
            #[repr(C)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }
            const _: () = assert!(size_of::<$name>() == $size && $size % 8 == 0);
        )*
    };
}
