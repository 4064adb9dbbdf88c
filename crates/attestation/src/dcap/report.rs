//! Report bodies.

use super::{Error, Part};

/// Takes fields from the front of a slice whose length was checked before.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    part: Part,
}

impl<'a> Fields<'a> {
    pub(super) fn new(rest: &'a [u8], part: Part) -> Self {
        Self { rest, part }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (field, rest) =
            self.rest.split_first_chunk::<N>().ok_or(Error::Truncated(self.part))?;
        self.rest = rest;
        Ok(*field)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (field, rest) =
            self.rest.split_at_checked(length).ok_or(Error::Truncated(self.part))?;
        self.rest = rest;
        Ok(field)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn part(&mut self, part: Part) {
        self.part = part;
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// An SGX report body (Intel SDM vol. 3D, table 38-21), 384 bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SgxReport {
    /// Security version of the processor.
    pub cpu_svn: [u8; 16],
    /// What is saved when the enclave is left by an exception.
    pub misc_select: u32,
    /// Flags and XFRM.
    pub attributes: [u8; 16],
    /// Hash of the enclave as it was built.
    pub mr_enclave: [u8; 32],
    /// Hash of the key that signed the enclave.
    pub mr_signer: [u8; 32],
    /// The signer's number for the product.
    pub isv_prod_id: u16,
    /// The signer's security version.
    pub isv_svn: u16,
    /// Chosen by the enclave.
    pub report_data: [u8; 64],
}

impl SgxReport {
    /// Length in bytes.
    pub const BYTES: usize = 384;
    /// Attribute flag: the enclave is initialised.
    const INIT: u8 = 0x01;
    /// Attribute flag: debuggers may read the enclave.
    const DEBUG: u8 = 0x02;

    /// Reads a body. Reserved fields are not looked at: with Key Separation and Sharing they carry
    /// values of the enclave's choice.
    pub(super) fn parse(bytes: &[u8; Self::BYTES]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes, Part::Body);
        let cpu_svn = fields.array()?;
        let misc_select = fields.u32()?;
        fields.take(28)?;
        let attributes = fields.array()?;
        let mr_enclave = fields.array()?;
        fields.take(32)?;
        let mr_signer = fields.array()?;
        fields.take(96)?;
        let isv_prod_id = fields.u16()?;
        let isv_svn = fields.u16()?;
        fields.take(60)?;
        let report_data = fields.array()?;
        Ok(Self {
            cpu_svn,
            misc_select,
            attributes,
            mr_enclave,
            mr_signer,
            isv_prod_id,
            isv_svn,
            report_data,
        })
    }

    /// Whether a debugger may read the enclave.
    pub fn is_debug(&self) -> bool {
        self.attributes[0] & Self::DEBUG != 0
    }

    /// Whether the enclave has been initialised.
    pub fn is_initialised(&self) -> bool {
        self.attributes[0] & Self::INIT != 0
    }
}

/// A TD report body: 584 bytes for TDX 1.0, 648 for TDX 1.5, 885 for its extended form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TdReport {
    /// Security version of the TDX module and its platform at the TD's launch.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mr_seam: [u8; 48],
    /// Signer of the TDX module; zeros for Intel's.
    pub mr_signer_seam: [u8; 48],
    /// Attributes of the TDX module.
    pub seam_attributes: [u8; 8],
    /// Attributes of the TD.
    pub td_attributes: [u8; 8],
    /// Extended features that the TD may use.
    pub xfam: [u8; 8],
    /// The TD's initial memory.
    pub mr_td: [u8; 48],
    /// Set by the host at creation.
    pub mr_config_id: [u8; 48],
    /// The TD's owner.
    pub mr_owner: [u8; 48],
    /// The owner's configuration.
    pub mr_owner_config: [u8; 48],
    /// Run-time registers.
    pub rtmr: [[u8; 48]; 4],
    /// Chosen by the TD.
    pub report_data: [u8; 64],
    /// From TDX 1.5 on.
    pub tdx15: Option<Tdx15>,
}

/// What TDX 1.5 adds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tdx15 {
    /// Security version now; another one than at launch after an update that preserved the TD.
    pub tee_tcb_svn2: [u8; 16],
    /// Hash over the service TDs; zeros without.
    pub mr_service_td: [u8; 48],
}

impl TdReport {
    /// Length of a TDX 1.0 body in bytes.
    pub const BYTES_10: usize = 584;
    /// Length of a TDX 1.5 body in bytes.
    pub const BYTES_15: usize = 648;
    /// Length of an extended TDX 1.5 body in bytes (`sgx_report2_body_v1_5_ex_t`).
    pub const BYTES_15_EX: usize = 885;

    /// Bits that must be zero (TDX Module ABI 348551-008US, table 3.23): 1–3, 7–15, 23–26, 32–61.
    const RESERVED: u64 = 0x3fff_ffff_0780_ff8e;
    /// Bits 0 to 7 make the TD untrusted: debug (0) and, with later modules, profiling (4 to 6).
    const UNDER_DEBUG: u64 = 0x71;
    const SERVTD_EXT: u64 = 1 << 17;
    const SEPT_VE_DISABLE: u64 = 1 << 28;
    const MIGRATABLE: u64 = 1 << 29;

    /// Reads a body of one of the three lengths.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::new(bytes, Part::Body);
        let mut report = Self {
            tee_tcb_svn: fields.array()?,
            mr_seam: fields.array()?,
            mr_signer_seam: fields.array()?,
            seam_attributes: fields.array()?,
            td_attributes: fields.array()?,
            xfam: fields.array()?,
            mr_td: fields.array()?,
            mr_config_id: fields.array()?,
            mr_owner: fields.array()?,
            mr_owner_config: fields.array()?,
            rtmr: [fields.array()?, fields.array()?, fields.array()?, fields.array()?],
            report_data: fields.array()?,
            tdx15: None,
        };
        if bytes.len() > Self::BYTES_10 {
            report.tdx15 =
                Some(Tdx15 { tee_tcb_svn2: fields.array()?, mr_service_td: fields.array()? });
        }
        // The extended fields name devices and service TDs; a TD with service TDs is refused, see
        // `check`, and without one they are zero or not security relevant.
        Ok(report)
    }

    /// Whether the host may read the TD.
    pub fn is_debug(&self) -> bool {
        self.attribute_bits() & Self::UNDER_DEBUG != 0
    }

    /// Refuses what makes the other fields meaningless.
    pub(super) fn check(&self) -> Result<(), Error> {
        let bits = self.attribute_bits();
        if bits & Self::RESERVED != 0 {
            return Err(Error::ReservedTdAttributes);
        }
        if bits & Self::MIGRATABLE != 0 {
            return Err(Error::Migratable);
        }
        let bound = self.tdx15.as_ref().is_some_and(|report| report.mr_service_td != [0; 48]);
        if bound || bits & Self::SERVTD_EXT != 0 {
            return Err(Error::ServiceTd);
        }
        if bits & Self::SEPT_VE_DISABLE == 0 {
            return Err(Error::SeptVe);
        }
        Ok(())
    }

    fn attribute_bits(&self) -> u64 {
        u64::from_le_bytes(self.td_attributes)
    }
}
