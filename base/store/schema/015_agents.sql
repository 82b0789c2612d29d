-- What a device's program calls itself (the User-Agent of its last request, cut).
ALTER TABLE devices ADD COLUMN agent TEXT NOT NULL DEFAULT '';
