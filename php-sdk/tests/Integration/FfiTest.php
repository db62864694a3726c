<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Tests\Integration;

/**
 * The network through libplasm.
 *
 * @requires extension ffi
 */
final class FfiTest extends NetworkTestCase
{
    protected static function driver(): string
    {
        return 'ffi';
    }
}
