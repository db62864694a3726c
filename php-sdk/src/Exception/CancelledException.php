<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * Stopped at the caller's wish.
 */
final class CancelledException extends PlasmException
{
}
