"""Where each row of radios/lora/regions.py is from, for docs/AIRTIME.md; a running node never reads it."""

SOURCES = {
    "en300220": "ETSI EN 300 220-2 V3.2.1, annex B (bands H, K, L, R); CEPT ERC/REC 70-03, annex 1",
    "un39": "CEPT ERC/REC 70-03, annexes 1 and 7, and Decision (EU) 2017/1483, as quoted in Spain's CNAF, note UN-39",
    "rir1008": "Switzerland, Radio Interface Regulation RIR1008/09: EN 300 220-2 V3.2.1 table B.1, ERC/REC 70-03 "
               "annex 1; CNAF UN-39 says the same",
    "eu46b": "Decision 2006/771/EC as of 23.1.2025, band 46b; 2.5 % for what is not a network access point "
             "(Switzerland, RIR1003 draft)",
    "cfr15247": "47 CFR 15.247 (a)(1)(i) hopping channels below 250 kHz: 0.4 s in 20 s, from 250 kHz: 0.4 s in 10 s; "
                "(a)(2) digital modulation from 500 kHz; (b)(3), (b)(4) 1 W, antennas to 6 dBi",
    "t108": "ARIB STD-T108, as quoted by others",
    "meshtastic": "Meshtastic's published region table (firmware 2.7.26 and 2.8.0), with the links that it gives",
}
