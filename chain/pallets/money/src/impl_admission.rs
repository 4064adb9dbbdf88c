//! The list of admitted assets.

use crate::*;
use casemate_primitives::{Asset, Balance};
use frame_support::{
    ensure,
    traits::fungibles::{metadata::Inspect as _, Inspect as _},
};

/// Units of the native token, in capitals: an asset of such a name would be taken for it.
const NATIVE_UNITS: [&[u8]; 5] = [b"CASE", b"MCASE", b"UCASE", b"NCASE", b"PLANCK"];

impl<T: Config> Pallet<T> {
    pub(crate) fn do_admit(
        asset: u32,
        symbol: Symbol,
        decimals: u8,
        deposit_min: Balance,
    ) -> DispatchResult {
        ensure!(T::Assets::asset_exists(asset), Error::<T>::NotRegistered);
        ensure!(!Admitted::<T>::contains_key(asset), Error::<T>::AlreadyAdmitted);
        ensure!(is_symbol(&symbol), Error::<T>::BadSymbol);
        ensure!(decimals <= DECIMALS_MAX, Error::<T>::BadDecimals);
        let of_asset = (T::Assets::symbol(asset), T::Assets::decimals(asset));
        ensure!(of_asset == (symbol.to_vec(), decimals), Error::<T>::MetadataDiffers);
        ensure!(deposit_min >= T::Assets::minimum_balance(asset), Error::<T>::DepositTooSmall);
        let key = capitals(&symbol);
        ensure!(!BySymbol::<T>::contains_key(&key), Error::<T>::SymbolTaken);
        ensure!(Admitted::<T>::count() < ADMITTED_MAX, Error::<T>::ListFull);
        BySymbol::<T>::insert(key, asset);
        let admission = Admission { symbol: symbol.clone(), decimals, deposit_min, open: true };
        Admitted::<T>::insert(asset, admission);
        Self::deposit_event(Event::Admitted { asset, symbol });
        Ok(())
    }

    pub(crate) fn do_set_admission(asset: u32, deposit_min: Balance, open: bool) -> DispatchResult {
        ensure!(deposit_min >= T::Assets::minimum_balance(asset), Error::<T>::DepositTooSmall);
        Admitted::<T>::try_mutate(asset, |admission| -> DispatchResult {
            let admission = admission.as_mut().ok_or(Error::<T>::NotAdmitted)?;
            admission.deposit_min = deposit_min;
            admission.open = open;
            Ok(())
        })?;
        Self::deposit_event(Event::AdmissionSet { asset, deposit_min, open });
        Ok(())
    }
}

impl<T: Config> AdmittedAssets for Pallet<T> {
    fn deposit_min(asset: Asset) -> Option<Balance> {
        match asset {
            Asset::Native => Some(0),
            Asset::Registered(id) => {
                Admitted::<T>::get(id).filter(|admission| admission.open).map(|a| a.deposit_min)
            }
        }
    }

    fn least(asset: Asset) -> Balance {
        match asset {
            Asset::Native => 0,
            Asset::Registered(id) => Admitted::<T>::get(id).map_or(0, |a| a.deposit_min),
        }
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn admit_for_benchmark(asset: u32) {
        if Admitted::<T>::contains_key(asset) {
            return;
        }
        let symbol = Symbol::truncate_from(alloc::format!("B{asset}X").into_bytes());
        T::BenchmarkHelper::register(asset, &symbol, 6);
        let deposit_min = T::Assets::minimum_balance(asset);
        Admitted::<T>::insert(
            asset,
            Admission { symbol: symbol.clone(), decimals: 6, deposit_min, open: true },
        );
        BySymbol::<T>::insert(capitals(&symbol), asset);
    }
}

/// Whether amounts may be written with it.
pub(crate) fn is_symbol(symbol: &Symbol) -> bool {
    let long_enough = symbol.len() >= SYMBOL_LENGTH_MIN as usize;
    let letter_first = symbol.first().is_some_and(u8::is_ascii_alphabetic);
    let plain = symbol.iter().all(u8::is_ascii_alphanumeric);
    long_enough && letter_first && plain && !NATIVE_UNITS.contains(&capitals(symbol).as_slice())
}

/// The symbol in capitals: by it symbols are told apart.
pub(crate) fn capitals(symbol: &Symbol) -> Symbol {
    let mut symbol = symbol.clone();
    for byte in symbol.iter_mut() {
        byte.make_ascii_uppercase();
    }
    symbol
}
