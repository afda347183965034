"""OpenVINO 2022.3.2 for RVC3: reads and runs IRs; NNCF or POT quantizes; the vendor's own compile_tool compiles."""
